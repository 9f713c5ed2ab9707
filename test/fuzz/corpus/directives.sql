-- Why: because it is so,
-- and for another reason
-- tapmig: requires=034, 035
-- tapmig: compensates=036, lock_timeout=2s, store=off
-- tapmig: allow=rule,rule
-- tapmig: loses=agents.note, "A b"."c""d".e, approved-by="N. N., ticket 4711"
ALTER TABLE agents DROP COLUMN note;
