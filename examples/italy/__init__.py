"""The demo: seven Italian publishers, and sensors where mosquitto is installed. See README.md for sources and licences."""
