# Schemas and upgrade scripts of Debian packages, as their authors wrote them, go
# in through the runner, and the database is the same as through psql.
#
# The packages bring the newest schema and the upgrades that led to it. So that
# the upgrades find the schema that they are for, a script of this test takes
# back what they add, behind the schema and before them.

use strict;
use warnings;

use IPC::Run ();
use TapmigDebian;
use TapmigTest;
use Test::More;

# Rows are compared as they lie.
my $node = tapmig_node('main', conf => "autovacuum = off\n");
my $dumps_compared = 0;

# psql, as the package's documentation has it: stops at an error, each file in
# one transaction unless the file has transactions of its own.
sub psql
{
	my ($db, $file, @options) = @_;
	my $output = '';

	local %ENV = $node->_get_env();
	IPC::Run::run([ 'psql', '-X', '-q', @options, '-d', $db, '-f', $file ],
		'<', '/dev/null', '>', '/dev/null', '2>', \$output)
	  or die "psql -f $file: $output";
	return;
}

# Files for the runner (name => text) against files for psql ([ text, options ]).
# times => how many values in the dump are the time at which it was made.
sub compare
{
	my ($package, $files, $scripts, %opt) = @_;
	my $dir   = migrations_dir($files);
	my $plain = "${package}_psql";
	my $db    = tapmig_database($node, "${package}_tapmig");
	my $n     = 0;

	$node->safe_psql('postgres', qq{CREATE DATABASE "$plain"});
	for my $script (@$scripts)
	{
		my ($text, @options) = @$script;

		psql($plain, write_file(scratch_dir() . '/' . ++$n . '.sql', $text), @options);
	}

	my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], dbname => $db, timeout => 600);
	is($exit, 0, "$package: tapmig up") or diag($err);
	is(scalar(() = $out =~ /^applied /mg), scalar(keys %$files), "$package: each file was applied");

	my @options  = ('-N', 'tapmig', '-e', 'plpgsql');
	my $expected = dump_text($node, $plain, @options);
	my $got      = dump_text($node, $db,    @options);
	cmp_ok(scalar(() = $expected =~ /^CREATE TABLE /mg), '>=', 10, "$package: there is a schema to compare");
	for my $text ($expected, $got)
	{
		last unless $opt{times};
		my $n = $text =~ s/\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?=[\t\n])/\t(time)/g;
		is($n, $opt{times}, "$package: times that were left out");
	}
	my $same = $got eq $expected;
	ok($same, "$package: pg_dump is the same as through psql");
	show_difference($expected, $got) unless $same;
	$dumps_compared++;

	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], dbname => $db);
	is("$exit$out", '0', "$package: the second time there is nothing to do") or diag($err);
	is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()', dbname => $db),
		0, "$package: verify() is clean");
	return $db;
}

sub show_difference
{
	my ($expected, $got) = @_;
	my $dir  = scratch_dir();
	my $diff = '';

	IPC::Run::run([ 'diff', '-u', write_file("$dir/psql", $expected),
			write_file("$dir/tapmig", $got) ], '>', \$diff);
	diag(substr($diff, 0, 4000));
	return;
}

# Takes back what scripts add: columns, indexes and tables, the last one first.
sub taken_back
{
	my ($back, @texts) = ('');

	for my $text (reverse @_)
	{
		$text =~ s/--.*//g;
		for my $statement (reverse split /;/, $text)
		{
			$back .=
			    $statement =~ /^\s*ALTER TABLE (\w+) ADD (?:COLUMN\s+)?(\w+)/i ? "ALTER TABLE $1 DROP COLUMN IF EXISTS $2;\n"
			  : $statement =~ /^\s*CREATE INDEX (\w+)/i                         ? "DROP INDEX IF EXISTS $1;\n"
			  : $statement =~ /^\s*CREATE TABLE\s+(\w+)/i                       ? "DROP TABLE IF EXISTS $1;\n"
			  :                                                                   '';
		}
	}
	return $back;
}

SKIP:
{
	my ($root, $problem) = debian_package('icinga2-ido-pgsql');
	skip $problem, 8 unless $root;

	my $schema   = "$root/usr/share/icinga2-ido-pgsql/schema";
	my @versions = map { m{/([0-9.]+)\.sql$} ? $1 : () } glob("$schema/upgrade/*.sql");
	my %upgrade  = map { $_ => read_file("$schema/upgrade/$_.sql") } @versions;
	my @once     = ('-1', '-v', 'ON_ERROR_STOP=1');
	my $back     = taken_back(map { $upgrade{$_} } sort @versions) . <<'SQL';
ALTER TABLE icinga_servicedependencies ADD CONSTRAINT uq_servicedependencies
  UNIQUE (servicedependency_id, instance_id);
ALTER TABLE icinga_hostdependencies ADD CONSTRAINT uq_hostdependencies
  UNIQUE (hostdependency_id, instance_id);
SQL
	my $install = read_file("$schema/pgsql.sql");

	compare('icinga2-ido-pgsql',
		{
			'1.0_schema.sql' => $install,
			'1.1_taken_back.sql' => $back,
			map { ("$_.sql" => $upgrade{$_}) } @versions
		},
		[ map { [ $_, @once ] } $install, $back, map { $upgrade{$_} } sort @versions ],
		times => 2);
}

SKIP:
{
	my ($root, $problem) = debian_package('zabbix-server-pgsql');
	skip $problem, 6 unless $root;

	# The order of the package's README; 34 MB, and up to 6.0 a script that is
	# wrapped in START TRANSACTION and COMMIT.
	my $dir     = "$root/usr/share/zabbix-server-pgsql";
	my @names   = (qw(schema images data), grep { -e "$dir/$_.sql.gz" } qw(double history_pk_prepare));
	my @scripts = map { gunzipped("$dir/$_.sql.gz") } @names;

	compare('zabbix-server-pgsql',
		{ map { (sprintf('%03d_%s.sql', $_ + 1, $names[$_]) => $scripts[$_]) } 0 .. $#names },
		[ map { [ $_, '-v', 'ON_ERROR_STOP=1' ] } @scripts ]);
}

SKIP:
{
	my ($root, $problem) = debian_package('bacula-director-pgsql');
	skip $problem, 9 unless $root;

	my $data    = "$root/usr/share/dbconfig-common/data/bacula-director-pgsql";
	my $install = read_file("$data/install/pgsql");
	my %upgrade = map { m{/pgsql/([0-9.~]+)$} ? ($1 => read_file($_)) : () } glob("$data/upgrade/pgsql/*");
	my $newer   = exists $upgrade{'15.0.0'};

	# A shell script around a here document: SQL is what stands in that.
	my ($indexes) = read_file("$root/usr/share/dbconfig-common/scripts/bacula-director-pgsql/upgrade/pgsql/7.4.1")
	  =~ /<<END-OF-DATA[^\n]*\n(.*?)^END-OF-DATA$/ms;
	like($indexes, qr/CREATE INDEX/, 'bacula-director-pgsql: SQL was found in the shell script');

	# Behind 9.0.0 come upgrades of bacula 11, 13 and 15.
	my $back = $newer ? <<'SQL' : '';
DROP TABLE MalwareMD5, MalwareSHA256, FileEvents, MetaEmail, MetaAttachment,
  TagJob, TagClient, TagMedia, TagObject, Object, Events, FileMedia;
DROP EXTENSION pg_trgm;
DELETE FROM Status WHERE JobStatus IN ('l', 'L', 'u', 'w', 'q', 'W');
DROP TABLE JobHisto;
ALTER TABLE Job DROP COLUMN RealStartTime, DROP COLUMN isVirtualFull,
  DROP COLUMN CompressRatio, DROP COLUMN Rate, DROP COLUMN LastReadStorageId,
  DROP COLUMN LastReadDevice, DROP COLUMN WriteStorageId, DROP COLUMN WriteDevice,
  DROP COLUMN StatusInfo, DROP COLUMN Encrypted, DROP COLUMN PriorJob;
CREATE TABLE JobHisto (LIKE Job);
ALTER TABLE Media DROP COLUMN Protected, DROP COLUMN UseProtect, DROP COLUMN VolEncrypted;
ALTER TABLE FileSet DROP COLUMN Content;
ALTER TABLE Client DROP COLUMN Plugins;
ALTER TABLE pool DROP COLUMN maxpoolbytes;
CREATE TABLE Filename (FilenameId serial PRIMARY KEY, Name text NOT NULL);
ALTER TABLE File DROP COLUMN Filename, ADD COLUMN FilenameId integer NOT NULL;
CREATE INDEX file_jpfid_idx ON File (JobId, PathId, FilenameId);
ALTER TABLE unsavedfiles DROP COLUMN filename, ADD COLUMN filenameid integer NOT NULL;
CREATE INDEX job_jobtdate_idx ON job (jobtdate);
SQL
	$back .= <<'SQL';
DROP INDEX job_jobtdate_idx, media_poolid_idx, media_storageid_idx;
ALTER TABLE pool DROP COLUMN cacheretention;
ALTER TABLE media DROP COLUMN volparts, DROP COLUMN volcloudparts,
  DROP COLUMN lastpartbytes, DROP COLUMN cacheretention;
ALTER TABLE media RENAME COLUMN voltype TO volparts;
DROP TABLE Snapshot;
ALTER TABLE Media DROP COLUMN volabytes, DROP COLUMN volapadding,
  DROP COLUMN volholebytes, DROP COLUMN volholes;
DELETE FROM Status WHERE JobStatus = 'I';
ALTER TABLE File DROP COLUMN DeltaSeq;
DROP TABLE RestoreObject;
DROP INDEX file_jpfid_idx, basefiles_jobid_idx;
CREATE INDEX file_fp_idx ON File (FilenameId, PathId);
DROP TABLE PathVisibility, PathHierarchy;
ALTER TABLE Status DROP COLUMN Severity;
ALTER TABLE Job DROP COLUMN HasCache, DROP COLUMN Reviewed, DROP COLUMN Comment;
ALTER TABLE JobMedia ADD COLUMN Copy integer;
DROP TABLE JobHisto;
ALTER TABLE job DROP COLUMN readbytes;
ALTER TABLE media DROP COLUMN ActionOnPurge;
ALTER TABLE pool DROP COLUMN ActionOnPurge;
UPDATE Version SET VersionId = 10;
SQL

	# psql has gone past an error in three places for years: client_min_messages
	# can't be "fatal" any more. A migration stops there, so these lines go.
	my $no_fatal = sub { return $_[0] =~ s/^set client_min_messages (?:=|to) '?fatal'?;\n//imgr };
	my @order = (qw(3.0.0 5.0.0 5.2.0 7.2.0), '7.4.1', '9.0.0', $newer ? ('11.0.0~1017', '11.0.0', '13.0.0', '15.0.0') : ());
	is(scalar(grep { !exists $upgrade{$_} } grep { $_ ne '7.4.1' } @order) . ' ' . keys(%upgrade), '0 ' . (@order - 1),
		'bacula-director-pgsql: all upgrades are known');
	$upgrade{'7.4.1'} = $indexes;
	my %files = ('1.0_install.sql' => $install, '1.1_taken_back.sql' => $back);
	for my $version (@order)
	{
		$files{ $version =~ s/11\.0\.0~/10./r . '.sql' } = $no_fatal->($upgrade{$version});
	}

	# Some upgrades consist of several transactions: as they stand, they are stepwise.
	my $several = grep { (() = /^commit;$/img) >= 2 } values %files;
	is($several, $newer ? 5 : 2, 'bacula-director-pgsql: upgrades of several transactions');

	compare('bacula-director-pgsql', \%files,
		[ map { [$_] } $install, $back, map { $upgrade{$_} } @order ], times => $newer ? 8 : 0);
}

note("$dumps_compared packages compared");
done_testing();
