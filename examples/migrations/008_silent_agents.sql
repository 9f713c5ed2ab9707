-- Why: the list that the support team works through every morning.

CREATE FUNCTION public.silent_for(last_seen timestamptz, at timestamptz DEFAULT now()) RETURNS interval
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN last_seen IS NULL THEN NULL ELSE at - last_seen END;
END;

CREATE VIEW public.silent_agents AS
SELECT a.agent_id, a.hostname, r.name AS region, r.contact, a.release,
       public.silent_for(a.last_seen) AS silent_for
  FROM public.agents a
  JOIN public.regions r USING (region_id)
 WHERE a.last_seen IS NULL OR a.last_seen < now() - interval '1 day';
COMMENT ON VIEW public.silent_agents IS 'Not heard of for a day, or never';
