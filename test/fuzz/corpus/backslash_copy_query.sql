\copy (select 'to' from t) to stdout
