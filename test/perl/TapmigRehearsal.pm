# TapmigRehearsal.pm
#
# For tests of what the runner makes of a rehearsal: rows that are known.
#
# canned_rehearsal($node, $db)	puts a function in the place of tapmig.rehearse, in
#		database $db ('postgres'), that returns the rows that stand in the script's
#		first line, or fails with the SQLSTATE of "-- fails 42P01".
# canned([ [ statement, line, command, elapsed_ms, wal_bytes, relation,
#		lock_mode, held_ms, rewritten, scanned ], ... ], $sql)
#		-> a script that stands for these rows; $sql, if given, is the rest of it,
#		which is never run.

package TapmigRehearsal;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();

our @EXPORT = qw(canned_rehearsal canned);

my @columns = qw(statement line command elapsed_ms wal_bytes relation lock_mode held_ms rewritten scanned);

sub canned_rehearsal
{
	my ($node, $db) = @_;

	$node->safe_psql($db // 'postgres', <<'SQL');
CREATE OR REPLACE FUNCTION tapmig.rehearse(sql text)
  RETURNS TABLE (statement int, line int, command text, elapsed_ms double precision, wal_bytes bigint,
                 relation text, lock_mode text, held_ms double precision, rewritten boolean, scanned boolean)
  LANGUAGE plpgsql AS $$
BEGIN
  IF sql ~ '^-- fails' THEN
    RAISE EXCEPTION USING ERRCODE = substring(sql FROM '^-- fails ([0-9A-Z]{5})'), MESSAGE = 'it does';
  END IF;
  RETURN QUERY SELECT * FROM json_to_recordset(substring(sql FROM '^-- rows: (.*?)\n')::json)
    AS r(statement int, line int, command text, elapsed_ms double precision, wal_bytes bigint,
         relation text, lock_mode text, held_ms double precision, rewritten boolean, scanned boolean);
END $$;
SQL
	return;
}

sub canned
{
	my ($rows, $sql) = @_;
	my @objects;

	for my $row (@$rows)
	{
		my %object;

		@object{@columns} = @$row;
		utf8::decode($object{relation}) if defined $object{relation};
		push @objects, \%object;
	}
	return '-- rows: ' . JSON::PP->new->utf8->canonical->encode(\@objects) . "\n" . ($sql // 'SELECT 1;') . "\n";
}

1;
