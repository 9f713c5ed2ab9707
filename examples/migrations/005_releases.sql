-- Why: which versions of the agent there are, and how long each is supported.

CREATE TABLE public.releases (
    release      text PRIMARY KEY,
    published    date NOT NULL,
    supported_to date,
    notes        text
);

COPY public.releases (release, published, supported_to, notes) FROM stdin;
1.0	2024-09-02	2025-09-02	First release
1.1	2025-01-20	2026-01-20	Reports free memory; "quoted", it's ours
2.0	2025-06-11	\N	New protocol\n(see the handbook)
\.

ALTER TABLE public.agents ADD COLUMN release text REFERENCES public.releases;
UPDATE public.agents
   SET release = CASE WHEN agent_id <= 4 THEN '1.0' WHEN agent_id <= 9 THEN '1.1' ELSE '2.0' END;
ALTER TABLE public.agents ALTER COLUMN release SET NOT NULL;
