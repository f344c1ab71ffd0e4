"""What a subscribing agency imports.

```python
from hub.client import subscribe

with subscribe("https://hub.example", "it-mim.education.school.v1", token) as schools:
    for school in schools:
        print(school["school_id"])
```
"""

from hub.client.subscription import Answer, ArrowBatch, Batch, Gap, Options, Reset, Subscription, subscribe

__all__ = ["Answer", "ArrowBatch", "Batch", "Gap", "Options", "Reset", "Subscription", "subscribe"]
