"""All tables, by subject; `Table.metadata` knows them all."""

from database.tables.agents import AgentRow, AgentShareRow, AgentVersionRow
from database.tables.approvals import ApprovalRow
from database.tables.arena import ArenaAnswerRow, ArenaMatchRow, ArenaTaskRow, ArenaVoteRow
from database.tables.audit import AuditRow
from database.tables.blobs import BlobRow
from database.tables.budgets import BudgetRow
from database.tables.cache import (
    CacheClaimRow,
    CacheDayRow,
    CacheEntryRow,
    CacheQuestionRow,
    CacheReuseRow,
    CacheWrongRow,
)
from database.tables.calls import CallRow
from database.tables.canaries import CanaryLookRow, CanaryRow
from database.tables.chats import ChatRow, ChatShareRow, MessageRow
from database.tables.evaluations import EvaluationResultRow, EvaluationRow
from database.tables.examples import ExampleRow, FeedbackRow
from database.tables.experiments import ExperimentRow, ExperimentRunRow, ExperimentSubjectRow
from database.tables.files import FileRow
from database.tables.models import ModelDayRow, ModelLatencyRow, ModelPriceRow, ModelRow
from database.tables.people import ApiKeyRow, IdentityRow, RefreshTokenRow, SessionRow, UserRow
from database.tables.programs import (
    ProgramChangeRow,
    ProgramRow,
    ProgramVersionRow,
    RunProgramRow,
    VersionExampleRow,
)
from database.tables.projects import MemberRow, ProjectRow
from database.tables.recommendations import PolicyRow, RecommendationRow, ReplayedAnswerRow
from database.tables.routing import RoutingOverrideRow
from database.tables.runs import EventRow, RunRow, SlotRow
from database.tables.table import Table, core
from database.tables.webhooks import WebhookRow
from database.tables.workers import WorkerRow

__all__ = [
    "AgentRow",
    "AgentShareRow",
    "AgentVersionRow",
    "ApiKeyRow",
    "ApprovalRow",
    "ArenaAnswerRow",
    "ArenaMatchRow",
    "ArenaTaskRow",
    "ArenaVoteRow",
    "AuditRow",
    "BlobRow",
    "BudgetRow",
    "CacheClaimRow",
    "CacheDayRow",
    "CacheEntryRow",
    "CacheQuestionRow",
    "CacheReuseRow",
    "CacheWrongRow",
    "CallRow",
    "CanaryLookRow",
    "CanaryRow",
    "ChatRow",
    "ChatShareRow",
    "EvaluationResultRow",
    "EvaluationRow",
    "EventRow",
    "ExampleRow",
    "ExperimentRow",
    "ExperimentRunRow",
    "ExperimentSubjectRow",
    "FeedbackRow",
    "FileRow",
    "IdentityRow",
    "MemberRow",
    "MessageRow",
    "ModelDayRow",
    "ModelLatencyRow",
    "ModelPriceRow",
    "ModelRow",
    "PolicyRow",
    "ProgramChangeRow",
    "ProgramRow",
    "ProgramVersionRow",
    "ProjectRow",
    "RecommendationRow",
    "RefreshTokenRow",
    "ReplayedAnswerRow",
    "RoutingOverrideRow",
    "RunProgramRow",
    "RunRow",
    "SessionRow",
    "SlotRow",
    "Table",
    "UserRow",
    "VersionExampleRow",
    "WebhookRow",
    "WorkerRow",
    "core",
]
