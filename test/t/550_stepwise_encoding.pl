# Whatever a script makes client_encoding, the worker's messages come as they
# are: it takes no effect, not even within the statement that sets it.

use strict;
use warnings;
use utf8;

use TapmigStepwise;
use TapmigTest;
use Test::More;

# As characters, whatever the driver made of the bytes.
sub chars
{
	my ($text) = @_;

	return $text if utf8::is_utf8($text) || utf8::decode($text);
	return 'not in UTF-8: ' . $text;
}

my $node = tapmig_node('main');
my $set  = "PERFORM set_config('client_encoding', 'LATIN1', false);";

sub says
{
	my ($what, $version, $script, @said) = @_;
	my $r = run($node, $version, $script, ref $said[0] ? @{ shift @said } : ());

	is($r->{value}, 'applied', "$what: applied") or diag explain $r;
	is_deeply([ grep { /\P{ASCII}/ } map { chars($_) } @{ $r->{notices} } ], [ map { "NOTICE:  $_" } @said ],
		"$what: each NOTICE comes as it is") or diag explain $r->{notices};
	return;
}

is(sql_value($node, 'SHOW server_encoding'), 'UTF8', 'the database is in UTF8');
says('a block that commits', '001', "DO \$\$BEGIN COMMIT; $set RAISE NOTICE 'café'; COMMIT; RAISE NOTICE 'naïve'; END\$\$;", 'café', 'naïve');
says('a transactional step', '002', "VACUUM pg_class;\nDO \$\$BEGIN $set RAISE NOTICE 'crème'; END\$\$;\nDO \$\$BEGIN RAISE NOTICE 'brûlée'; END\$\$;", 'crème', 'brûlée');
says('SET', '003', "VACUUM pg_class;\nSET client_encoding = 'LATIN1';\nDO \$\$BEGIN RAISE NOTICE 'façade'; END\$\$;\nVACUUM pg_class;\nDO \$\$BEGIN RAISE NOTICE 'voilà'; END\$\$;", 'façade', 'voilà');
says('what LATIN1 lacks', '004', "DO \$\$BEGIN COMMIT; $set RAISE NOTICE '10 €'; END\$\$;", '10 €');
says('a function with SET', '005', "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql SET client_encoding = 'LATIN1' AS \$\$BEGIN RAISE NOTICE 'señor'; END\$\$;\nVACUUM pg_class;\nSELECT f();", 'señor');

my $r = run($node, '010', "DO \$\$BEGIN COMMIT; $set RAISE EXCEPTION 'déjà vu, 10 €' USING DETAIL = 'façon', HINT = 'là'; END\$\$;");
is($r->{sqlstate}, 'P0001', 'an error in the statement that set it') or diag explain $r;
is(chars($r->{message}), 'déjà vu, 10 €', 'its message');
is(chars($r->{detail}),  'façon',        'its detail');
like(chars($r->{hint}), qr/\Alà/, 'its hint');
is(chars(attempt($node, '010')->{message}), 'déjà vu, 10 €', 'the attempt has it');
$r = run($node, '011', "DO \$\$BEGIN COMMIT; $set COMMIT; RAISE EXCEPTION 'déjà' USING DETAIL = 'façon'; END\$\$;");
is(chars("$r->{sqlstate} $r->{message} $r->{detail}"), 'P0001 déjà façon', 'an error after its commit');

# The role's default
$node->safe_psql('postgres', "CREATE ROLE latin LOGIN SUPERUSER; ALTER ROLE latin SET client_encoding = 'LATIN1'");
says('a default of the role', '020', "DO \$\$BEGIN COMMIT; RAISE NOTICE 'café'; RESET client_encoding; RAISE NOTICE 'maté'; END\$\$;\nRESET ALL;\nDO \$\$BEGIN RAISE NOTICE 'voilà'; END\$\$;", [ user => 'latin', encoding => 'UTF8' ], 'café', 'maté', 'voilà');

ok(no_worker($node), 'no worker is left');
done_testing();
