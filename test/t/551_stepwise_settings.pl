# What a script SET is there again for the steps that a later attempt resumes,
# just as if it had never stopped: also where SET LOCAL hid it, or a function or
# a block with an exception ended above it.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE deployer LOGIN;
CREATE ROLE owner_role NOLOGIN;
CREATE ROLE other_role NOLOGIN;
GRANT owner_role, other_role TO deployer;
CREATE SCHEMA app;
CREATE SCHEMA two;
CREATE TABLE public.broken ();
CREATE TABLE public.seen (what text, value text);
GRANT ALL ON public.broken, public.seen TO PUBLIC;
GRANT USAGE ON SCHEMA app, two, tapmig TO PUBLIC;
GRANT EXECUTE ON PROCEDURE tapmig.run(text, text, text, text, text) TO PUBLIC;
CREATE FUNCTION public.with_set() RETURNS void LANGUAGE plpgsql SET work_mem = '11MB'
	AS $$BEGIN PERFORM 1; END$$;
CREATE FUNCTION public.with_set_local() RETURNS void LANGUAGE plpgsql SET search_path = two
	AS $$BEGIN SET LOCAL work_mem = '12MB'; END$$;
CREATE FUNCTION public.with_both() RETURNS void LANGUAGE plpgsql SET search_path = two
	AS $$BEGIN SET work_mem = '13MB'; SET LOCAL work_mem = '14MB'; END$$;
CREATE FUNCTION public.with_own() RETURNS void LANGUAGE plpgsql SET work_mem = '15MB'
	AS $$BEGIN SET work_mem = '16MB'; END$$;
SQL

my @settings = qw(work_mem search_path role session_authorization DateStyle TimeZone bytea_output enable_seqscan
  seq_page_cost my.own my.other lock_timeout);
# A placeholder that was SET LOCAL stays, with an empty value.
my $see = "concat_ws(';', current_user, session_user, " . join(', ', map { "coalesce(nullif(current_setting('$_', true), ''), '-')" } @settings) . ')';
my $n = 0;

# Runs a script whole, and another time in two attempts, and looks at a setting
# in its last step. session: what the sessions had SET.
sub kept
{
	my ($what, $first, $setting, $expected, %opt) = @_;
	my %saw;

	for my $how ('whole', 'resumed')
	{
		my $version = ++$n;
		my $script  = "BEGIN;\n$first;\nCOMMIT;\nBEGIN;\nDO \$\$BEGIN IF EXISTS (SELECT FROM public.broken) THEN RAISE 'broken'; END IF; END\$\$;\nCOMMIT;\n"
		  . 'INSERT INTO public.seen SELECT ' . quoted("$what $how") . ", $see;\n";
		my $r;

		sql_try($node, 'INSERT INTO public.broken DEFAULT VALUES') if $how eq 'resumed';
		for my $try ($how eq 'resumed' ? (1, 2) : (1))
		{
			my $s = session($node);
			$s->try($_) for @{ $opt{session} // [] };
			$r = $s->try('CALL tapmig.run($1, $2)', bind => [ $version, $script ]);
			$s->close;
			sql_try($node, 'TRUNCATE public.broken');
		}
		is($r->{value}, 'applied', "$what, $how: applied") or diag explain $r;
		is(rows_of($node, "SELECT outcome, steps_done FROM tapmig.attempts WHERE version = '$version' ORDER BY id"),
			$how eq 'resumed' ? "failed|1\napplied|3" : 'applied|3', "$what, $how: attempts");
		$saw{$how} = sql_value($node, "SELECT value FROM public.seen WHERE what = " . quoted("$what $how"));
	}
	my %values;
	@values{ qw(current_user session_user), @settings } = split /;/, $saw{whole} // '', -1;
	is($values{$setting}, $expected, "$what: $setting is $expected");
	is($saw{resumed}, $saw{whole}, "$what: the same when it is resumed");
	return;
}

kept('SET',               "SET work_mem = '7MB'", 'work_mem', '7MB');
kept('SET, SET LOCAL',    "SET work_mem = '7MB';\nSET LOCAL work_mem = '9MB'", 'work_mem', '7MB');
kept('SET, LOCAL, LOCAL', "SET work_mem = '7MB';\nSET LOCAL work_mem = '9MB';\nSET LOCAL work_mem = '10MB'", 'work_mem', '7MB');
kept('SET LOCAL',         "SET LOCAL work_mem = '9MB'", 'work_mem', '4MB');
kept('SET LOCAL, SET',    "SET LOCAL work_mem = '9MB';\nSET work_mem = '7MB'", 'work_mem', '7MB');
kept('set_config',        "SELECT set_config('work_mem', '7MB', false), set_config('work_mem', '9MB', true)", 'work_mem', '7MB');
kept('RESET, SET LOCAL',  "RESET work_mem;\nSET LOCAL work_mem = '9MB'", 'work_mem', '4MB', session => ["SET work_mem = '6MB'"]);
kept("the session's",     "SET LOCAL work_mem = '9MB'", 'work_mem', '6MB', session => ["SET work_mem = '6MB'"]);
kept('SET TO DEFAULT',    'SET work_mem TO DEFAULT', 'work_mem', '4MB', session => ["SET work_mem = '6MB'"]);

# Every type of setting, and some with forms of their own
kept('search_path', 'SET search_path = app, "two";' . "\nSET LOCAL search_path = two", 'search_path', 'app, two');
kept('a boolean',   "SET enable_seqscan = off;\nSET LOCAL enable_seqscan = on", 'enable_seqscan', 'off');
kept('an enum',     "SET bytea_output = 'escape';\nSET LOCAL bytea_output = 'hex'", 'bytea_output', 'escape');
kept('a real',      "SET seq_page_cost = 1.25;\nSET LOCAL seq_page_cost = 3", 'seq_page_cost', '1.25');
kept('DateStyle',   "SET DateStyle = 'SQL, DMY';\nSET LOCAL DateStyle = 'ISO'", 'DateStyle', 'SQL, DMY');
kept('TimeZone',    "SET TimeZone = 'Asia/Kolkata';\nSET LOCAL TimeZone = 'UTC'", 'TimeZone', 'Asia/Kolkata');
kept('an interval', "SET TIME ZONE INTERVAL '-08:30' HOUR TO MINUTE;\nSET LOCAL TimeZone = 'UTC'", 'TimeZone', '<-08:30>+08:30');
kept('own names',   "SET my.own = 'a ''b'' \"c\"';\nSET LOCAL my.own = 'x';\nSET LOCAL my.other = 'y'", 'my.own', "a 'b' \"c\"");
kept('lock_timeout', "SET lock_timeout = '77s';\nSET LOCAL lock_timeout = '78s'", 'lock_timeout', '77s');

# The user
kept('SET ROLE',      "SET ROLE owner_role;\nSET LOCAL ROLE other_role", 'current_user', 'owner_role');
kept('to no role',    "SET ROLE owner_role;\nSET LOCAL ROLE NONE", 'current_user', 'owner_role');
kept('SET LOCAL ROLE', 'SET LOCAL ROLE owner_role', 'role', 'none');
kept('a session user', "SET SESSION AUTHORIZATION deployer;\nSET LOCAL ROLE owner_role", 'current_user', 'deployer');
kept('and its role',  "SET SESSION AUTHORIZATION deployer;\nSET ROLE owner_role;\nSET LOCAL ROLE other_role", 'current_user', 'owner_role');
kept('a local user',  "SET ROLE other_role;\nSET LOCAL SESSION AUTHORIZATION deployer", 'current_user', 'other_role');
kept('local user and role', "SET ROLE other_role;\nSET LOCAL SESSION AUTHORIZATION deployer;\nSET LOCAL ROLE owner_role", 'current_user', 'other_role');
kept("the session's role", 'SET LOCAL ROLE NONE', 'current_user', 'owner_role', session => ['SET ROLE owner_role']);

# Functions with a SET clause, blocks with an exception
kept('SET clause',           "SET work_mem = '7MB';\nSELECT public.with_set()", 'work_mem', '7MB');
kept('SET LOCAL in it',      "SET work_mem = '7MB';\nSELECT public.with_set_local()", 'work_mem', '7MB');
kept('both in it',           "SET work_mem = '7MB';\nSELECT public.with_both()", 'work_mem', '13MB');
kept('SET over its own',     "SET work_mem = '7MB';\nSELECT public.with_own()", 'work_mem', '16MB');
kept('undone by exception',  "SET work_mem = '7MB';\nDO \$\$BEGIN SET work_mem = '9MB'; SET LOCAL search_path = two; RAISE 'x'; EXCEPTION WHEN raise_exception THEN END\$\$", 'work_mem', '7MB');
kept('block',                "SET work_mem = '7MB';\nDO \$\$BEGIN SET work_mem = '9MB'; EXCEPTION WHEN raise_exception THEN END\$\$", 'work_mem', '9MB');
kept('local in a block',     "SET work_mem = '7MB';\nDO \$\$BEGIN SET LOCAL work_mem = '9MB'; EXCEPTION WHEN raise_exception THEN END\$\$", 'work_mem', '7MB');
kept('both in a block',      "SET work_mem = '7MB';\nDO \$\$BEGIN SET work_mem = '8MB'; SET LOCAL work_mem = '9MB'; EXCEPTION WHEN raise_exception THEN END\$\$", 'work_mem', '8MB');
kept('both twice',           "SET LOCAL work_mem = '6MB';\nDO \$\$BEGIN SET work_mem = '8MB'; BEGIN SET LOCAL work_mem = '9MB'; EXCEPTION WHEN raise_exception THEN END; EXCEPTION WHEN raise_exception THEN END\$\$", 'work_mem', '8MB');

# Back to the default: the default of whoever resumes it, who need not trust the first for that.
{
	sql_try($node, $_) for 'CREATE ROLE wide LOGIN', 'CREATE ROLE narrow LOGIN', "ALTER ROLE wide SET work_mem = '21MB'",
	  "ALTER ROLE narrow SET work_mem = '22MB'", 'INSERT INTO public.broken DEFAULT VALUES';
	my $version = ++$n;
	my $script  = "BEGIN;\nRESET work_mem;\nSET DateStyle TO DEFAULT;\nCOMMIT;\nBEGIN;\nDO \$\$BEGIN IF EXISTS (SELECT FROM public.broken) THEN RAISE 'broken'; END IF; END\$\$;\nCOMMIT;\n"
	  . "INSERT INTO public.seen SELECT 'default', $see;\n";
	my $seen;

	for my $user ('wide', 'narrow')
	{
		my $s = session($node, user => $user);
		$s->try($_) for "SET work_mem = '23MB'", "SET DateStyle = 'German'";
		my $r = $s->try('CALL tapmig.run($1, $2)', bind => [ $version, $script ]);
		$user eq 'wide' ? is_error($r, 'P0001', qr/^broken$/, 'default: fails in its second step') :
		  is($r->{value}, 'applied', 'default: another role goes on with it') || diag explain $r;
		$s->close;
		is(rows_of($node, "SELECT settings FROM tapmig.attempts WHERE version = '$version'"), '{"work_mem": null, "DateStyle": null}', 'default: kept as that') if $user eq 'wide';
		sql_try($node, 'TRUNCATE public.broken');
	}
	$seen = sql_value($node, "SELECT value FROM public.seen WHERE what = 'default'");
	like($seen, qr/^narrow;narrow;22MB;.*;ISO, MDY;/, 'default: with its own defaults') or diag $seen;
}

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
