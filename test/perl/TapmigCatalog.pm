# TapmigCatalog.pm
#
# What the catalogs hold of the extension, and a PostgreSQL installation with
# versions of it that this one has not.
#
# extension_catalog($node, $db)	-> [ "object: attribute: value", ... ], sorted:
#		members, owners, rights, comments, columns, constraints, indexes, triggers,
#		views, function definitions, sequences, what pg_dump carries, dependencies.
#		Oids, the server's own counters, and orders that mean nothing, are not in it.
# catalog_difference($old, $new)	-> [ "- line", "+ line", ... ], empty when equal
# same_catalog($old, $new, $name)	one test: there is no difference
# installation_with(\%files)	-> the install_path of a copy of this PostgreSQL whose
#		extension directory also has these files (name => text); for tapmig_node.

package TapmigCatalog;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(basename dirname);
use File::Path ();
use TapmigTest;
use Test::More;

our @EXPORT = qw(extension_catalog catalog_difference same_catalog installation_with);

my $query = <<'SQL';
WITH extension AS (
	SELECT * FROM pg_extension WHERE extname = 'tapmig'
), member AS (
	SELECT d.classid, d.objid, (i).type || ' ' || (i).identity AS name
	FROM pg_depend d JOIN extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid,
		pg_identify_object(d.classid, d.objid, 0) i
	WHERE d.deptype = 'e'
), relation AS (
	SELECT m.name, c.* FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
), function AS (
	SELECT m.name, p.* FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
), granted (classid, objid, name, acl, by_default) AS (
	SELECT 'pg_namespace'::regclass, n.oid, m.name, n.nspacl, acldefault('n', n.nspowner)
	FROM member m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
	UNION ALL
	SELECT 'pg_class'::regclass, oid, name, relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner) FROM relation
	UNION ALL
	SELECT 'pg_proc'::regclass, oid, name, proacl, acldefault('f', proowner) FROM function
), acl (name, what, acl) AS (
	SELECT name, 'right', coalesce(acl, by_default) FROM granted
	UNION ALL
	SELECT g.name, 'right that is not dumped', coalesce(i.initprivs, g.by_default)
	FROM granted g LEFT JOIN pg_init_privs i ON i.classoid = g.classid AND i.objoid = g.objid AND i.objsubid = 0
	UNION ALL
	SELECT r.name, 'right on ' || a.attname, a.attacl FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
), line (name, what, value) AS (
	SELECT 'extension', 'row', concat_ws(' ', extversion, extnamespace::regnamespace, extowner::regrole, extrelocatable) FROM extension
	UNION ALL
	SELECT 'extension', 'dumped by pg_dump', concat_ws(' where ', c.c::regclass, nullif(c.w, ''))
	FROM extension, unnest(extconfig, extcondition) c (c, w)
	UNION ALL
	SELECT name, 'member', '' FROM member
	UNION ALL
	SELECT name, 'comment', coalesce(obj_description(objid, classid::regclass::text), '(none)') FROM member
	UNION ALL
	SELECT name, what, unnest(acl)::text FROM acl
	UNION ALL
	SELECT m.name, 'depends', d.deptype::text || ' ' || pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
	FROM member m JOIN pg_depend d USING (classid, objid)
	UNION ALL
	SELECT name, 'owner', proowner::regrole::text FROM function
	UNION ALL
	SELECT name, 'definition', pg_get_functiondef(oid) || ' in ' || coalesce(probin, '') FROM function
	UNION ALL
	SELECT name, 'row', concat_ws(' ', relowner::regrole, relkind, relpersistence, relreplident, relrowsecurity, relforcerowsecurity,
		reloptions, reltablespace, (SELECT amname FROM pg_am WHERE pg_am.oid = relam), relhasrules, relhastriggers) FROM relation
	UNION ALL
	SELECT r.name, 'column', concat_ws(' ', row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), a.attname,
		format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation::regcollation, a.attstorage, a.attcompression,
		a.attidentity, a.attgenerated,
		(SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\_attver=%'), pg_get_expr(d.adbin, d.adrelid), '-- ' || coalesce(col_description(r.oid, a.attnum), '(none)'))
	FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
	WHERE r.relkind <> 'S'
	UNION ALL
	SELECT r.name, 'constraint', concat_ws(' ', c.conname, pg_get_constraintdef(c.oid), c.convalidated, obj_description(c.oid, 'pg_constraint'))
	FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid
	UNION ALL
	SELECT r.name, 'index', concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident, i.indisclustered, obj_description(i.indexrelid, 'pg_class'))
	FROM relation r JOIN pg_index i ON i.indrelid = r.oid
	UNION ALL
	SELECT r.name, 'trigger', concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger'))
	FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
	UNION ALL
	SELECT r.name, 'view', pg_get_viewdef(r.oid) FROM relation r WHERE r.relkind IN ('v', 'm')
	UNION ALL
	SELECT r.name, 'rule', concat_ws(' ', w.rulename, w.ev_enabled) FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid
	UNION ALL
	SELECT r.name, 'policy', concat_ws(' ', p.polname, p.polcmd, p.polroles::regrole[], pg_get_expr(p.polqual, r.oid), pg_get_expr(p.polwithcheck, r.oid))
	FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
	UNION ALL
	SELECT r.name, 'sequence', concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
	FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid
)
SELECT concat_ws(': ', name, what, value) COLLATE "C" FROM line ORDER BY 1
SQL

sub extension_catalog
{
	my ($node, $db) = @_;
	my $session = session($node, dbname => $db);

	# What is in the search_path is printed without its schema.
	$session->try('SET search_path = pg_catalog');
	my $r = $session->try($query);
	die "$r->{sqlstate} $r->{message}" unless $r->{ok};
	return [ map { $_->[0] } @{ $r->{rows} } ];
}

sub catalog_difference
{
	my ($old, $new) = @_;
	my %count;

	$count{$_}-- for @$old;
	$count{$_}++ for @$new;
	return [ map { ($count{$_} > 0 ? '+ ' : '- ') . $_ } grep { $count{$_} } sort keys %count ];
}

sub same_catalog
{
	my ($old, $new, $name) = @_;
	my $difference = catalog_difference($old, $new);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(!@$difference, $name) || diag join("\n", @$difference);
}

# A PostgreSQL finds its directories from where its programs are: these are
# copied, all else is linked to.
sub installation_with
{
	my ($files) = @_;
	my $root = scratch_dir();
	my %dir;

	for my $name (qw(bindir pkglibdir sharedir))
	{
		chomp($dir{$name} = `pg_config --$name`);
	}
	my $common = $dir{bindir};
	$common = dirname($common)
	  while grep { index($_, $common eq '/' ? '/' : "$common/") != 0 } @dir{qw(pkglibdir sharedir)};
	my %new = map { $_ => $root . substr($dir{$_}, $common eq '/' ? 0 : length $common) } keys %dir;

	File::Path::make_path(dirname($new{$_})) for keys %new;
	system('cp', '-RL', $dir{bindir}, $new{bindir}) == 0 or die "cp of $dir{bindir} failed";
	File::Path::make_path("$new{sharedir}/extension");
	my @links = ([ $dir{pkglibdir}, $new{pkglibdir} ]);
	push @links, map { [ $_, "$new{sharedir}/" . basename($_) ] } grep { basename($_) ne 'extension' } glob("$dir{sharedir}/*");
	push @links, map { [ $_, "$new{sharedir}/extension/" . basename($_) ] } grep { !exists $files->{ basename($_) } } glob("$dir{sharedir}/extension/*");
	for (@links)
	{
		symlink($_->[0], $_->[1]) or die "symlink $_->[1]: $!";
	}
	write_file("$new{sharedir}/extension/$_", $files->{$_}) for keys %$files;
	return dirname($new{bindir});
}

1;
