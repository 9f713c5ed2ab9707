-- Why: field staff asked for a free text on where a machine stands.

ALTER TABLE public.agents ADD COLUMN location text;
CREATE INDEX agents_location_idx ON public.agents (location) WHERE location IS NOT NULL;
