-- Why: agents report every few minutes, and the support team asks when a
-- machine was last heard of.

CREATE TABLE public.heartbeats (
    agent_id   bigint NOT NULL REFERENCES public.agents ON DELETE CASCADE,
    at         timestamptz NOT NULL DEFAULT now(),
    load       real,
    free_mb    integer CHECK (free_mb >= 0),
    PRIMARY KEY (agent_id, at)
);
COMMENT ON TABLE public.heartbeats IS 'One row for each report of an agent';
