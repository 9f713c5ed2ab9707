-- Why: memory_mb came in as text from the first import; sums over it were wrong
-- where somebody wrote "2048 ".

ALTER TABLE public.agents
    ALTER COLUMN memory_mb TYPE integer USING nullif(trim(memory_mb), '')::integer;
ALTER TABLE public.agents
    ADD CONSTRAINT agents_memory_mb_check CHECK (memory_mb > 0);
