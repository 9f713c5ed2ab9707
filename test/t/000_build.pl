# The library exports what the server looks up by name and nothing else, and
# carries the control file's version.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use TapmigTest;
use Test::More;

chomp(my $libdir = `pg_config --pkglibdir`);
my $library = "$libdir/tapmig.so";
ok(-e $library, 'library is installed');

my %exported;
for my $line (split /\n/, `nm -D --defined-only '$library'`)
{
	my ($symbol) = $line =~ /(\S+)\z/;
	# The symbol version of an export map stands behind an @.
	$symbol =~ s/@.*//;
	$exported{$symbol} = 1;
}
ok($exported{Pg_magic_func}, 'magic is exported');
ok($exported{_PG_init},      '_PG_init is exported');

my @functions = map { /^pg_finfo_(.*)/ ? $1 : () } sort keys %exported;
cmp_ok(scalar @functions, '>', 0, 'SQL functions are exported');
is_deeply([ grep { !$exported{$_} } @functions ],
	[], 'each SQL function stands beside its pg_finfo');
is_deeply([ grep { !/^tapmig_/ } @functions ],
	[], 'each SQL function is named tapmig_*');

my %known = map { $_ => 1, "pg_finfo_$_" => 1 } @functions;
$known{$_} = 1 for qw(Pg_magic_func _PG_init tapmig_worker_main);
is_deeply([ grep { !$known{$_} } sort keys %exported ], [], 'nothing else is exported');

my $control = read_file(top_dir() . '/tapmig.control');
my ($version) = $control =~ /^default_version\s*=\s*'([^']+)'/m;
chomp(my $sharedir = `pg_config --sharedir`);
ok(-e "$sharedir/extension/tapmig--$version.sql", "SQL objects of version $version are installed");

my ($exit, $out) = run_tapmig(undef, ['--version']);
like($out, qr/(?<![\d.])\Q$version\E(?![\d.])/, 'the runner has the same version');

my $node = tapmig_node('main');
is(sql_value($node, q{SELECT extversion FROM pg_extension WHERE extname = 'tapmig'}),
	$version, 'CREATE EXTENSION makes that version');

# What C code the SQL objects name is there.
my $functions = sql_try($node, q{
	SELECT DISTINCT p.prosrc FROM pg_proc p
	  JOIN pg_language l ON l.oid = p.prolang
	  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	 WHERE e.extname = 'tapmig' AND l.lanname = 'c'});
is_deeply([ sort map { $_->[0] } @{ $functions->{rows} } ],
	\@functions, 'the SQL objects use every exported function');

done_testing();
