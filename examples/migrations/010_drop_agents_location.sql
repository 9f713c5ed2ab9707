-- Why: locations are personal data at three customers, and nobody has entered
-- one yet: they stay in the customers' own inventory.
-- tapmig: compensates=009

DROP INDEX public.agents_location_idx;
ALTER TABLE public.agents DROP COLUMN location;
