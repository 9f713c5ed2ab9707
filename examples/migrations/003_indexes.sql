-- Why: the dashboard lists the agents of a region, and the newest reports.

BEGIN;

CREATE INDEX agents_region_id_idx ON public.agents (region_id);
CREATE INDEX heartbeats_at_idx ON public.heartbeats (at DESC);

COMMIT;
