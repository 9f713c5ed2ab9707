-- Why: the reports of the pilot, which were kept in a spreadsheet.

INSERT INTO public.heartbeats (agent_id, at, load, free_mb)
SELECT a.agent_id,
       timestamptz '2025-07-01 06:00+00' + h * interval '1 hour' + a.agent_id * interval '1 minute',
       (a.agent_id * h % 7) / 10.0,
       coalesce(a.memory_mb, 1024) / 4
  FROM public.agents a, generate_series(1, 24) h
 WHERE a.agent_id % 5 <> 0;
