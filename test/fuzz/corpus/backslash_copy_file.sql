\copy t from 'file.csv' csv
