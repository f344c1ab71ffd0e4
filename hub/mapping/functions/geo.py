"""Coordinates of Chinese maps → WGS 84.

GCJ-02 shifts every place in China by some hundred metres, BD-09 by some hundred more; a map of blind spots with radii of
300 m to 1 km is worthless if datums mix. There is no official formula: this is the approximation in general use, inverted
by iteration to better than 1e-9 degrees (0.1 mm). CGCS2000 (EPSG:4490) differs from WGS 84 by centimetres: the same here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.mapping.codelists import CodeLists
from hub.mapping.functions.matrix import Made
from hub.mapping.functions.table import Fails, Function, Kernel, Parameter, always, constant
from hub.mapping.total import widen
from hub.mapping.values import fail, merge, valid

Floats = npt.NDArray[np.float64]
Point = tuple[Floats, Floats]  # longitude, latitude in degrees

WGS84, CGCS2000, GCJ02, BD09 = "WGS84", "CGCS2000", "GCJ02", "BD09"
RESULT = pa.struct([("longitude", pa.float64()), ("latitude", pa.float64()), ("datum", pa.string())])
AXIS = 6_378_245.0  # m, Krasovsky 1940
ECCENTRICITY = 0.00669342162296594323  # squared
WEST, EAST, SOUTH, NORTH = 72.004, 137.8347, 0.8293, 55.8271  # where GCJ-02 shifts at all
BD_SHIFT = (0.0065, 0.006)  # degrees
BD_ANGLE = np.pi * 3000 / 180
PRECISION = 1e-10  # degrees
STEPS = 30  # the shift changes by 1e-4 of the way, so five are enough; more would mean a fault


def _wave(x: Floats, period: float) -> Floats:
    return np.sin(x * np.pi / period)


def _shift(lon: Floats, lat: Floats) -> Point:
    """How far GCJ-02 moves a place of WGS 84, in degrees."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    ripple = 20.0 * _wave(x, 1 / 6) + 20.0 * _wave(x, 1 / 2)
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north += (ripple + 20.0 * _wave(y, 1) + 40.0 * _wave(y, 3) + 160.0 * _wave(y, 12) + 320.0 * _wave(y, 30)) * 2 / 3
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east += (ripple + 20.0 * _wave(x, 1) + 40.0 * _wave(x, 3) + 150.0 * _wave(x, 12) + 300.0 * _wave(x, 30)) * 2 / 3
    radians = lat * np.pi / 180
    curve = 1 - ECCENTRICITY * np.sin(radians) ** 2
    by_lat = north * 180 / (AXIS * (1 - ECCENTRICITY) / (curve * np.sqrt(curve)) * np.pi)
    by_lon = east * 180 / (AXIS / np.sqrt(curve) * np.cos(radians) * np.pi)
    inside = (lon >= WEST) & (lon <= EAST) & (lat >= SOUTH) & (lat <= NORTH)
    return np.where(inside, by_lon, 0.0), np.where(inside, by_lat, 0.0)


def wgs84_to_gcj02(lon: Floats, lat: Floats) -> Point:
    """The published direction."""
    east, north = _shift(lon, lat)
    return lon + east, lat + north


def gcj02_to_wgs84(lon: Floats, lat: Floats) -> Point:
    """The place whose image this is."""
    x, y = lon, lat
    for _ in range(STEPS):
        image = wgs84_to_gcj02(x, y)
        off = lon - image[0], lat - image[1]
        x, y = x + off[0], y + off[1]
        if not len(x) or max(np.abs(off[0]).max(), np.abs(off[1]).max()) < PRECISION:
            break
    return x, y


def gcj02_to_bd09(lon: Floats, lat: Floats) -> Point:
    """The published direction."""
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * BD_ANGLE)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * BD_ANGLE)
    return radius * np.cos(angle) + BD_SHIFT[0], radius * np.sin(angle) + BD_SHIFT[1]


def bd09_to_gcj02(lon: Floats, lat: Floats) -> Point:
    """The place whose image this is."""
    x, y = lon - BD_SHIFT[0], lat - BD_SHIFT[1]
    for _ in range(STEPS):
        image = gcj02_to_bd09(x, y)
        off = lon - image[0], lat - image[1]
        x, y = x + off[0], y + off[1]
        if not len(x) or max(np.abs(off[0]).max(), np.abs(off[1]).max()) < PRECISION:
            break
    return x, y


def _same(lon: Floats, lat: Floats) -> Point:
    return lon, lat


DATUMS: dict[str, Callable[[Floats, Floats], Point]] = {
    WGS84: _same,
    CGCS2000: _same,
    GCJ02: gcj02_to_wgs84,
    BD09: lambda lon, lat: gcj02_to_wgs84(*bd09_to_gcj02(lon, lat)),
}


def _bind(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    name = str(literals[0]).upper().replace("-", "").replace("EPSG:4490", CGCS2000).replace("EPSG:4326", WGS84)
    if name not in DATUMS:
        raise ValueError(f"a datum is one of {', '.join(DATUMS)}")
    convert = DATUMS[name]

    def kernel(columns: Sequence[pa.Array]) -> Made:
        (lon, a), (lat, b) = widen(columns[0], pa.float64()), widen(columns[1], pa.float64())
        there = valid(lon) & valid(lat)
        x, y = (np.asarray(c.to_numpy(zero_copy_only=False), np.float64) for c in (lon, lat))
        inside = (np.abs(x) <= 180) & (np.abs(y) <= 90)  # false for NaN
        good = there & inside
        made = convert(x[good], y[good])
        full = [np.zeros(len(x)), np.zeros(len(x))]
        full[0][good], full[1][good] = made
        parts = [pa.array(full[0]), pa.array(full[1]), pa.repeat(pa.scalar(WGS84, pa.string()), len(x))]
        result = pa.StructArray.from_arrays(parts, fields=list(RESULT), mask=pa.array(~good))
        return result, merge(merge(a, b), fail(there & ~inside, "BAD_COORDINATE")), {}

    return kernel


FUNCTIONS = (
    Function(
        name="to_wgs84",
        doc="A record of `longitude`, `latitude` and `datum` (WGS84) from coordinates in degrees on WGS84, CGCS2000, GCJ-02 "
        "(Amap, Tencent) or BD-09 (Baidu). Coordinates that are none fail, such as latitude and longitude exchanged. Give "
        "it to a field that is a record, or take one part: `to_wgs84(x, y, 'BD-09').latitude`.",
        parameters=(
            Parameter(name="longitude", type="number"),
            Parameter(name="latitude", type="number"),
            constant("datum"),
        ),
        result=always(RESULT),
        bind=_bind,
        reasons=("BAD_COORDINATE",),
        examples=(
            ("CAST(to_wgs84(109.852578, 40.664297, 'BD-09').longitude * 10000 + 0.5 AS TEXT) LIKE '1098403%'", True),
            ("to_wgs84(40.66, 109.85, 'BD-09')", Fails("BAD_COORDINATE")),
        ),
    ),
)
