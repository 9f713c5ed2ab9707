# A caller's search_path, and what somebody put into public or pg_temp, does not
# reach the ledger's code, which runs as the owner.

use strict;
use warnings;

use TapmigClients;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

# Traps: each notes who ran it. As in an older database, public is everybody's.
sql_value($node, $_) for (
	'GRANT ALL ON SCHEMA public TO PUBLIC', 'CREATE ROLE mallory LOGIN', 'CREATE ROLE deployer LOGIN',
	'CREATE TABLE public.trapped (who text, what text)', 'GRANT ALL ON public.trapped TO PUBLIC',
	'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tapmig TO deployer',
	'GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA tapmig TO deployer');

my $mallory = session($node, user => 'mallory');
my $traps = 0;

sub trap
{
	my ($sql) = @_;
	my $r = $mallory->try($sql);

	$r->{ok} ? $traps++ : diag("no trap: $r->{message}: $sql");
	return;
}

trap(q{CREATE FUNCTION public.sprung(what text) RETURNS void LANGUAGE sql AS
	'INSERT INTO public.trapped VALUES (current_user, what)'});

# Operators that the ledger's statements use, on their types
for my $type (qw(text bytea name bigint int timestamptz interval boolean jsonb))
{
	for my $op ('=', '<>', '<', '<=', '>', '>=')
	{
		trap("CREATE FUNCTION public.op_trap(a $type, b $type) RETURNS boolean LANGUAGE plpgsql AS "
			  . "\$\$ BEGIN PERFORM public.sprung('$type'); RETURN true; END \$\$") if $op eq '=';
		trap("CREATE OPERATOR public.$op (leftarg = $type, rightarg = $type, function = public.op_trap)");
	}
}
trap('CREATE FUNCTION public.json_trap(a jsonb, b text) RETURNS boolean LANGUAGE plpgsql AS '
	  . q{$$ BEGIN PERFORM public.sprung('?'); RETURN true; END $$});
trap('CREATE OPERATOR public.? (leftarg = jsonb, rightarg = text, function = public.json_trap)');
trap('CREATE FUNCTION public.json_get_trap(a jsonb, b text) RETURNS jsonb LANGUAGE plpgsql AS '
	  . q{$$ BEGIN PERFORM public.sprung('->'); RETURN '[]'; END $$});
trap('CREATE OPERATOR public.-> (leftarg = jsonb, rightarg = text, function = public.json_get_trap)');

# Functions of the names that it calls
for my $f ('nextval(text)', 'nextval(regclass)', 'setval(text, bigint)', 'setval(regclass, bigint)',
	'version_key(text)', 'array_append(anycompatiblearray, anycompatible)', 'now()', 'clock_timestamp()', 'bool_or(boolean)')
{
	my ($name, $args) = $f =~ /^(\w+)\((.*)\)/;
	my $returns = $name =~ /^(?:nextval|setval)/ ? 'bigint' : $name =~ /now|clock/ ? 'timestamptz'
	  : $name eq 'array_append' ? 'anycompatiblearray' : $name eq 'bool_or' ? 'boolean' : 'text';
	trap("CREATE FUNCTION public.$name($args) RETURNS $returns LANGUAGE plpgsql AS "
		  . "\$\$ BEGIN PERFORM public.sprung('$name'); RETURN NULL; END \$\$");
}
trap(q{CREATE FUNCTION public.agg_trap(s bigint, x anyelement) RETURNS bigint LANGUAGE plpgsql AS
	$$ BEGIN PERFORM public.sprung('max'); RETURN 1; END $$});
trap("CREATE AGGREGATE public.$_(anyelement) (sfunc = public.agg_trap, stype = bigint)") for qw(max count);
trap('CREATE TYPE public.regclass AS ENUM ()');
trap('CREATE DOMAIN public.bytea AS text');
cmp_ok($traps, '>', 60, 'traps are set');

# They would be sprung: so the caller's own statements meet them.
my $paths = 'public, pg_catalog, tapmig, pg_temp';
{
	my $s = session($node);
	$s->try("SET search_path = $paths");
	$s->try(q{SELECT 'a'::text = 'b'::text});
	is(sql_value($node, 'SELECT count(*) FROM public.trapped'), 1, 'a trap that works') or BAIL_OUT('no trap');
	sql_value($node, 'TRUNCATE public.trapped');
}

sub one_line { return $_[0] =~ s/\s+/ /gr; }

# All of the surface, as a superuser and as a deployer, with hostile tables in
# pg_temp too.
for my $who (undef, 'deployer')
{
	my $name  = $who // 'superuser';
	my $s     = session($node, defined $who ? (user => $who) : ());
	my $track = "track_$name";

	for my $table (qw(schema_migrations history scripts attempts))
	{
		$s->try("CREATE TEMP TABLE $table (LIKE tapmig.$table)");
	}
	is($s->try($_)->{ok}, 1, "$name: " . one_line($_)) for (
		q{CREATE FUNCTION pg_temp.version_key(text) RETURNS text LANGUAGE plpgsql AS
			$$ BEGIN PERFORM public.sprung('pg_temp'); RETURN 'x'; END $$},
		"SET search_path = pg_temp, $paths", "SET tapmig.track = '$track'", 'SET row_security = on',
		'SET enable_indexscan = off', 'SET DateStyle = German', 'SET bytea_output = escape', 'SET TimeZone = \'Asia/Tokyo\'',
		q{SET IntervalStyle = iso_8601}, 'SET standard_conforming_strings = off', 'SET array_nulls = off',
		'SET extra_float_digits = -15', 'SET plan_cache_mode = force_custom_plan');

	my $calls = sub {
		my ($round) = @_;
		return (
			[ "SELECT tapmig.apply('00${round}1_a', 'SELECT 1')",                        'applied' ],
			[ "SELECT tapmig.apply('00${round}1_a', 'SELECT 1')",                        'skipped' ],
			[ "SELECT tapmig.apply('00${round}1_a', 'select  1')",                       'skipped' ],
			[ "CALL tapmig.run('00${round}2_b', '-- Why: x\n-- tapmig: replaces=00${round}3..00${round}4\nSELECT 2')", 'applied' ],
			[ "CALL tapmig.run('00${round}2_b', 'SELECT 3')",                            'TM001' ],
			[ "CALL tapmig.run('00${round}9_c', 'SELECT pg_catalog.int4div(1, 0)')",     '22012' ],
			[ "SELECT tapmig.apply('00${round}3_part', 'SELECT 3')",                     'skipped' ],
			[ "SELECT tapmig.register('00${round}5_r', 'SELECT 5')",                     'registered' ],
			[ "SELECT tapmig.accept('00${round}5', 'SELECT 55', 'why')",                 '' ],
			[ "SELECT tapmig.withdraw('00${round}5', 'why')",                            '' ],
			[ "SELECT tapmig.is_applied('00${round}1')",                                 't' ],
			[ "SELECT tapmig.is_applied('00${round}5')",                                 'f' ],
			[ "SELECT tapmig.require('00${round}7')",                                    'TM006' ],
			[ "CALL tapmig.wait_for('00${round}1')",                                     undef ],
			[ "SELECT pg_catalog.string_agg(state, ' ') FROM tapmig.plan(ARRAY['00${round}1', '00${round}8'], NULL) AS p WHERE p.version OPERATOR(pg_catalog.=) ANY (ARRAY['00${round}1', '00${round}8'])",
				'applied pending' ],
			[ 'SELECT pg_catalog.count(*) FROM tapmig.verify()', 0 ]);
	};
	for my $call ($calls->(1))
	{
		my $r = $s->try($call->[0]);
		my $got = $r->{ok} ? $r->{value} : $r->{sqlstate};

		is($got, $call->[1], "$name: " . one_line($call->[0])) or diag($r->{message});
	}

	# Again, with the plans made before and the settings changed in a session
	# that has been used.
	$s->try('SET enable_seqscan = off');
	for my $call ($calls->(2))
	{
		my $r = $s->try($call->[0]);
		my $got = $r->{ok} ? $r->{value} : $r->{sqlstate};

		is($got, $call->[1], "$name, again: " . one_line($call->[0])) or diag($r->{message});
	}
	is($s->try('SELECT pg_catalog.count(*) FROM pg_temp.schema_migrations')->{value}, 0, "$name: nothing went into tables in pg_temp");
	is($s->try('SHOW search_path')->{value}, "pg_temp, $paths", "$name: the search_path is the caller's");
	is($s->try('SELECT current_user OPERATOR(pg_catalog.=) session_user')->{value}, 't', "$name: the user is the caller");
	is(sql_value($node, 'SELECT count(*) FROM public.trapped'), 0, "$name: no trap was sprung")
	  or diag(explain sql_try($node, 'SELECT DISTINCT * FROM public.trapped')->{rows});

	# By hand, as the owner
	if (!defined $who)
	{
		is($s->try(qq{INSERT INTO tapmig.schema_migrations (version) VALUES ('0050_by_hand')})->{ok}, 1, 'by hand');
		is(sql_value($node, q{SELECT track || ' ' || version || ' ' || name || ' ' || kind FROM tapmig.schema_migrations WHERE version = '0050'}),
			"$track 0050 by_hand registered", 'is completed');
		is(sql_value($node, 'SELECT count(*) FROM public.trapped'), 0, 'no trap was sprung');
	}
	verify_is_clean($node, $name);
}

# A script may leave objects and settings; they do not reach its own record.
my $s = session($node, user => 'deployer');
is($s->try(q{SELECT tapmig.apply('1', 'SET search_path = pg_temp, public, pg_catalog; SET tapmig.track = ''elsewhere'';
	SET tapmig.store_sql = off; SET application_name = ''forged'';
	CREATE TEMP TABLE schema_migrations (i int); CREATE TEMP TABLE history (i int)', track => 'own')})->{value}, 'applied', 'a script with settings');
is(sql_value($node, q{SELECT track || application FROM tapmig.schema_migrations WHERE track IN ('own', 'elsewhere')}),
	'own355_hostile.pl', 'they do not change its record');
is(sql_value($node, q{SELECT count(*) FROM tapmig.scripts WHERE sql LIKE '%elsewhere%'}), 1, 'nor whether its text is kept');
is(sql_value($node, q{SELECT count(*) FROM public.trapped WHERE who <> 'deployer'}), 0, 'no trap was sprung with the rights of another');
verify_is_clean($node, 'in the end');

done_testing();
