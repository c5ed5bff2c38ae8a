"""News for a tenant's own systems: written with the effect (outbox), delivered by tasks.notifications.

`announcing` writes, `lanes` says whose turn it is, `delivering` claims and settles, `repair` is the operator's view.
"""

from models.notifications.announcing import News, announce
from models.notifications.tables import STATES, notification_lanes, notifications

__all__ = ["News", "announce", "STATES", "notifications", "notification_lanes"]
