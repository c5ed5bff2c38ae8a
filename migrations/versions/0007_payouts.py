"""Payouts: their states and the moves between them, attempts, history, daily limits and provider accounts.

Deploy: before the code. Locks: new objects, and a partial index of `jobs` that is empty when it is made.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = r"""
CREATE TABLE payout_moves (
    from_state text NOT NULL,
    to_state text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
INSERT INTO payout_moves VALUES
    ('awaiting_approval', 'approved'), ('awaiting_approval', 'cancelled'),
    ('approved', 'sending'), ('approved', 'cancelled'), ('approved', 'submitted'), ('approved', 'paid'),
    ('sending', 'submitted'), ('sending', 'cooling'), ('sending', 'in_doubt'), ('sending', 'failed'),
    ('sending', 'paid'),
    ('submitted', 'paid'), ('submitted', 'failed'),
    ('in_doubt', 'submitted'), ('in_doubt', 'paid'), ('in_doubt', 'cooling'), ('in_doubt', 'failed'),
    ('cooling', 'sending'), ('cooling', 'cancelled'), ('cooling', 'submitted'), ('cooling', 'paid'),
    ('paid', 'returned');
CREATE TRIGGER payout_moves_fixed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON payout_moves
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE payouts (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    owner text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    provider text NOT NULL,
    destination text NOT NULL,
    state text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    requested_by text NOT NULL,
    approved_by text,
    attempts_made integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    cooldown_until timestamptz,
    approval_expires_at timestamptz,
    provider_reference text,
    failure_code text,
    claim_version integer NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    dispatched_until timestamptz,
    in_doubt_since timestamptz,
    lookups_made integer NOT NULL DEFAULT 0,
    next_lookup_at timestamptz,
    sequence bigint,
    business_date date NOT NULL,
    requested_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT payouts_state CHECK (state IN ('awaiting_approval', 'approved', 'sending', 'submitted', 'in_doubt',
        'cooling', 'paid', 'returned', 'failed', 'cancelled')),
    CONSTRAINT payouts_amount CHECK (amount_minor > 0),
    CONSTRAINT payouts_counts CHECK (attempts_made >= 0 AND lookups_made >= 0 AND claim_version >= 0),
    CONSTRAINT payouts_next_attempt CHECK ((next_attempt_at IS NOT NULL) = (state IN ('approved', 'cooling'))),
    CONSTRAINT payouts_claimed CHECK ((claimed_until IS NOT NULL) = (state = 'sending')),
    CONSTRAINT payouts_in_doubt CHECK ((in_doubt_since IS NOT NULL) = (state = 'in_doubt')),
    CONSTRAINT payouts_lookup CHECK ((next_lookup_at IS NULL OR state IN ('in_doubt', 'submitted'))
        AND (next_lookup_at IS NOT NULL OR state <> 'in_doubt')),
    CONSTRAINT payouts_failure CHECK (state NOT IN ('failed', 'returned') OR failure_code IS NOT NULL),
    CONSTRAINT payouts_four_eyes CHECK (approved_by IS DISTINCT FROM requested_by)
) WITH (fillfactor = 80);
CREATE INDEX payouts_due_idx ON payouts (tenant, provider, next_attempt_at)
    WHERE state IN ('approved', 'cooling');
CREATE INDEX payouts_dispatched_idx ON payouts (tenant, provider, dispatched_until)
    WHERE dispatched_until IS NOT NULL;
CREATE INDEX payouts_open_idx ON payouts (tenant, provider, state)
    WHERE state IN ('awaiting_approval', 'approved', 'sending', 'submitted', 'in_doubt', 'cooling');
CREATE INDEX payouts_claimed_idx ON payouts (claimed_until) WHERE state = 'sending';
CREATE INDEX payouts_lookup_idx ON payouts (next_lookup_at) WHERE state IN ('in_doubt', 'submitted');
CREATE INDEX payouts_approval_idx ON payouts (approval_expires_at)
    WHERE state = 'awaiting_approval' AND approval_expires_at IS NOT NULL;
CREATE INDEX payouts_tenant_owner_id_idx ON payouts (tenant, owner, id);
CREATE INDEX payouts_tenant_requested_at_idx ON payouts (tenant, requested_at);

CREATE FUNCTION check_payout_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('awaiting_approval', 'approved') THEN
            RAISE EXCEPTION 'payout %: none begins as %', NEW.id, NEW.state USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NOT EXISTS (SELECT FROM payout_moves m WHERE m.from_state = OLD.state AND m.to_state = NEW.state) THEN
        RAISE EXCEPTION 'payout %: % -> % is no move', NEW.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payouts_begin BEFORE INSERT ON payouts FOR EACH ROW EXECUTE FUNCTION check_payout_move();
CREATE TRIGGER payouts_move BEFORE UPDATE OF state ON payouts FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_payout_move();
CREATE TRIGGER payouts_kept BEFORE DELETE OR TRUNCATE ON payouts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE payout_attempts (
    payout_id uuid NOT NULL,
    attempt_no integer NOT NULL,
    tenant text NOT NULL,
    provider text NOT NULL,
    provider_key text NOT NULL,
    reference text NOT NULL,
    claim_version integer NOT NULL,
    outcome text NOT NULL,
    error_code text,
    object_id text,
    sends integer NOT NULL DEFAULT 1,
    started_at timestamptz NOT NULL,
    first_used_at timestamptz NOT NULL,
    key_valid_until timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (payout_id, attempt_no),
    CONSTRAINT payout_attempts_provider_key_key UNIQUE (provider_key),
    CONSTRAINT payout_attempts_tenant_provider_reference_key UNIQUE (tenant, provider, reference),
    CONSTRAINT payout_attempts_outcome CHECK (outcome IN ('sending', 'not_sent', 'in_doubt', 'submitted', 'paid',
        'returned', 'declined', 'failed', 'not_found', 'abandoned')),
    CONSTRAINT payout_attempts_counts CHECK (attempt_no > 0 AND sends > 0),
    CONSTRAINT payout_attempts_finished CHECK
        ((finished_at IS NULL) = (outcome IN ('sending', 'not_sent', 'in_doubt')))
);
-- Never a second key while the first may have paid.
CREATE UNIQUE INDEX payout_attempts_alive_idx ON payout_attempts (payout_id)
    WHERE outcome IN ('sending', 'not_sent', 'in_doubt', 'submitted', 'paid');
CREATE INDEX payout_attempts_finished_idx ON payout_attempts (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX payout_attempts_object_idx ON payout_attempts (tenant, provider, object_id)
    WHERE object_id IS NOT NULL;
CREATE TRIGGER payout_attempts_kept BEFORE DELETE OR TRUNCATE ON payout_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE payout_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payout_id uuid NOT NULL,
    tenant text NOT NULL,
    at timestamptz NOT NULL,
    cause text NOT NULL,
    from_state text,
    to_state text,
    version integer NOT NULL,
    attempt_no integer,
    code text,
    actor text,
    reason text,
    job_id uuid,
    transaction_id bigint,
    detail jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT payout_events_move CHECK ((from_state IS NULL) OR (to_state IS NOT NULL))
);
CREATE INDEX payout_events_payout_id_id_idx ON payout_events (payout_id, id);
CREATE TRIGGER payout_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payout_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What people asked of a payout, refusals too, is part of its story.
CREATE INDEX jobs_payout_commands_idx ON jobs ((args ->> 'payout_id'))
    WHERE name IN ('payouts.approve', 'payouts.reject', 'payouts.cancel', 'payouts.retry', 'payouts.mark_paid',
        'payouts.mark_failed');

CREATE TABLE limit_reservations (
    payout_id uuid PRIMARY KEY,
    tenant text NOT NULL,
    owner text NOT NULL,
    currency text NOT NULL,
    business_date date NOT NULL,
    amount_minor bigint NOT NULL,
    reserved_at timestamptz NOT NULL,
    released_at timestamptz,
    CONSTRAINT limit_reservations_amount CHECK (amount_minor > 0)
);
CREATE INDEX limit_reservations_standing_idx ON limit_reservations (tenant, owner, currency, business_date)
    WHERE released_at IS NULL;

CREATE TABLE provider_accounts (
    tenant text NOT NULL,
    provider text NOT NULL,
    adapter text NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    paused_at timestamptz,
    paused_by text,
    breaker text NOT NULL DEFAULT 'closed',
    failures_in_a_row integer NOT NULL DEFAULT 0,
    opens_in_a_row integer NOT NULL DEFAULT 0,
    breaker_code text,
    probe_at timestamptz,
    max_in_flight integer NOT NULL DEFAULT 16,
    per_second double precision,
    allowance double precision NOT NULL DEFAULT 0,
    allowance_at timestamptz,
    PRIMARY KEY (tenant, provider),
    CONSTRAINT provider_accounts_breaker CHECK (breaker IN ('closed', 'open', 'half_open')),
    CONSTRAINT provider_accounts_probe CHECK ((probe_at IS NOT NULL) = (breaker <> 'closed')),
    CONSTRAINT provider_accounts_limits CHECK (max_in_flight > 0 AND (per_second IS NULL OR per_second > 0))
);

GRANT SELECT ON payouts, payout_attempts, payout_events, payout_moves, limit_reservations, provider_accounts
    TO ledgerbeat_worker;
GRANT INSERT ON payouts, payout_attempts, payout_events, limit_reservations, provider_accounts TO ledgerbeat_worker;
GRANT UPDATE (state, version, approved_by, attempts_made, next_attempt_at, cooldown_until, approval_expires_at,
    provider_reference, failure_code, claim_version, claimed_until, dispatched_until, in_doubt_since, lookups_made,
    next_lookup_at, sequence, updated_at) ON payouts TO ledgerbeat_worker;
GRANT UPDATE (claim_version, outcome, error_code, object_id, sends, started_at, finished_at)
    ON payout_attempts TO ledgerbeat_worker;
GRANT UPDATE (released_at) ON limit_reservations TO ledgerbeat_worker;
GRANT UPDATE ON provider_accounts TO ledgerbeat_worker;
"""

DOWN = """
DROP TABLE provider_accounts, limit_reservations, payout_events, payout_attempts, payouts, payout_moves;
DROP FUNCTION check_payout_move();
DROP INDEX jobs_payout_commands_idx;
"""
