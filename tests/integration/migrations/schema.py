"""The models' tables, all of them: importing their modules fills the one MetaData."""

import models.audit
import models.backfills.tables
import models.deposits
import models.jobs.tables
import models.ledger.tables
import models.schedules
import models.tenants  # noqa: F401 - as above
from models.base import metadata

__all__ = ["metadata"]
