-- Why: the newest heartbeat of every agent was a scan over all of them; the
-- agent's own row knows it from now on.

ALTER TABLE public.agents ADD COLUMN last_seen timestamptz;

CREATE FUNCTION public.agents_note_heartbeat() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    -- A late report must not turn the clock back; greatest() skips nulls.
    UPDATE public.agents a
       SET last_seen = greatest(a.last_seen, NEW.at)
     WHERE a.agent_id = NEW.agent_id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER heartbeats_last_seen AFTER INSERT ON public.heartbeats
    FOR EACH ROW EXECUTE FUNCTION public.agents_note_heartbeat();
