-- Why: a file of an editor
SELECT 1;
