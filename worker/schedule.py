"""The Beat table. Beat only wakes: what is due is decided by the rows of PostgreSQL, so any number of Beats may run.

`expires` drops ticks that nobody had time for; it is generous, because it compares the clocks of two machines.
"""

from typing import Any

SWEEP_SECONDS = 1.0
TICK_SECONDS = 10.0
DISPATCH_SECONDS = 1.0
NIGHTS_SECONDS = 30.0
BACKFILLS_SECONDS = 5.0

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "sweep": {"task": "intake.sweep", "schedule": SWEEP_SECONDS, "options": {"expires": 15}},
    "tick": {"task": "schedules.tick", "schedule": TICK_SECONDS, "options": {"expires": 60}},
    "pay": {"task": "payouts.dispatch", "schedule": DISPATCH_SECONDS, "options": {"expires": 15}},
    "nights": {"task": "reconciliation.tick", "schedule": NIGHTS_SECONDS, "options": {"expires": 120}},
    "backfill": {"task": "backfills.tick", "schedule": BACKFILLS_SECONDS, "options": {"expires": 30}},
    "notify": {"task": "notifications.dispatch", "schedule": DISPATCH_SECONDS, "options": {"expires": 15}},
}
