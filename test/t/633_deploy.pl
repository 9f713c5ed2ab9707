# deploy/: the commands of its README, the images' files and scripts, compose.yaml,
# the definitions of jobs, the container's start. No image is built here: that
# needs a container engine and the network. What an image would hold is put into
# a directory by the Dockerfile's own lines, and used there.

use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use TapmigDebian;
use TapmigTest;
use Test::More;

my $top  = top_dir();
my $node = tapmig_node('main');
my $bin  = tapmig_bin() =~ s{/[^/]*$}{}r;

sub has { return system("command -v $_[0] >/dev/null") == 0; }

# -> exit code, both streams
sub command
{
	my ($command, %opt) = @_;
	my $output = '';

	local %ENV = ($node->_get_env(PGDATABASE => $opt{dbname} // 'postgres'), CHECKPOINT_DISABLE => 1, TF_IN_AUTOMATION => 1,
		TF_CLI_CONFIG_FILE => '/dev/null', PYTHONDONTWRITEBYTECODE => 1, PATH => "$bin:$ENV{PATH}");
	delete @ENV{qw(DATABASE_URL TAPMIG_DIR TAPMIG_REVISION TAPMIG_VERSION TAPMIG_TIMEOUT)};
	@ENV{ keys %{ $opt{env} } } = values %{ $opt{env} } if $opt{env};
	my $h = IPC::Run::start($command, '<', '/dev/null', '>', \$output, '2>&1',
		init => sub { chdir($opt{cwd} // $top) or die }, IPC::Run::timeout(300));
	$h->finish;
	return ($h->result(0) // 255, $output);
}

# A YAML file, all its documents
my $yaml_python;
for my $python ('python3', '/usr/bin/python3')
{
	$yaml_python //= $python if system("$python -c 'import yaml' 2>/dev/null") == 0;
}
sub yaml
{
	my ($path) = @_;
	my ($exit, $output) = command([ $yaml_python, '-c', 'import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))', $path ]);

	die $output if $exit;
	return JSON::PP->new->decode($output);
}

# ------------------------------------------------------------------ Dockerfiles

# [ instruction, rest ] of each line, without comments
sub dockerfile
{
	my ($path) = @_;
	my $text = read_file("$top/$path") =~ s/^#.*\n//gmr =~ s/\\\n//gr;

	return map { [ /^([A-Z]+) +(.*)/ ] } grep { /\S/ } split /\n/, $text;
}

# What a Dockerfile.dockerignore leaves: those of ours begin with "**" and name
# what is wanted, then patterns of what is not.
sub in_context
{
	my ($path, $source) = @_;
	my (undef, @lines) = split /\n/, read_file("$top/$path.dockerignore");

	return scalar grep { m{^!(.*)} && ($source eq $1 || index($source, "$1/") == 0) } @lines;
}

for my $path ('deploy/Dockerfile', 'deploy/cloudrun/Dockerfile')
{
	my @lines = dockerfile($path);

	is_deeply([ grep { $_->[0] !~ /\A(?:ARG|FROM|RUN|COPY|ENV|USER|ENTRYPOINT|CMD)\z/ } @lines ], [], "$path: its lines are known");
	like(read_file("$top/$path.dockerignore"), qr/\A\*\*\n!/, "$path: the context is what it names");
	for my $copy (map { $_->[1] } grep { $_->[0] eq 'COPY' } @lines)
	{
		my @words = grep { !/^--chmod/ } split / +/, $copy;
		next if $words[0] =~ /^--from/;
		pop @words;
		is_deeply([ grep { !-e "$top/$_" || !in_context($path, $_) } @words ], [], "$path: what it copies is there");
	}
}

# COPY SOURCE... TARGET, from the checkout to below $root
sub copied
{
	my ($root, $line) = @_;
	my @sources = map { "$top/$_" } grep { !/^--/ } split / +/, $line;
	my $to      = $root . substr(pop @sources, length "$top/");
	my $dir     = -d $sources[0] || $to =~ m{/$} ? $to : $to =~ s{/[^/]*$}{}r;

	system('mkdir', '-p', $dir) == 0 or die;
	system('cp', '-R', (map { -d $_ ? "$_/." : $_ } @sources), $to) == 0 or die;
	return;
}

# The extension's image: its COPY and make lines, in a directory.
SKIP:
{
	skip 'PG_CONFIG names another PostgreSQL than Debian\'s', 5 if $ENV{PG_CONFIG};
	chomp(my $major = `bash '$top/test/lib/packages.sh' major`);
	my $root  = scratch_dir();
	my @lines = dockerfile('deploy/Dockerfile');
	copied($root, $_->[1]) for grep { $_->[0] eq 'COPY' && $_->[1] !~ /^--from/ } @lines;
	my ($make) = map { $_->[1] } grep { $_->[0] eq 'RUN' && $_->[1] =~ /make -C/ } @lines;
	$make =~ s{/(src|out)\b(?=[ ]|$)}{$root/$1}g;
	my ($exit, $output) = command([ 'sh', '-euc', "PG_MAJOR=$major; $make" ]);
	is($exit, 0, 'deploy/Dockerfile: its build runs') or diag $output;
	ok(-s "$root/out/usr/lib/postgresql/$major/lib/tapmig.so",        'deploy/Dockerfile: the library is in the image');
	ok(-s "$root/out/usr/share/postgresql/$major/extension/tapmig.control", 'deploy/Dockerfile: the control file is in it');
	ok(-x "$root/out/usr/lib/postgresql/$major/bin/tapmig",           'deploy/Dockerfile: the runner is in it');
	ok(-x "$root/docker-entrypoint-initdb.d/10-tapmig.sh",            'deploy/Dockerfile: what sets a cluster up is in it');
}

# What sets a cluster up: as a program, and read by the image's bash.
for my $how ([ program => 'sh', "$top/deploy/initdb.sh" ], [ read => 'bash', '-euc', ". '$top/deploy/initdb.sh'; echo goes on" ])
{
	my ($name, @command) = @$how;
	my $user = sql_value($node, 'SELECT current_user');

	$node->safe_psql('postgres', "CREATE DATABASE made_$name");
	my ($exit, $output) = command(\@command, env => { POSTGRES_USER => $user, POSTGRES_DB => "made_$name", PGUSER => 'nosuch' });
	is($exit, 0, "initdb.sh, $name") or diag $output;
	like($output, qr/^goes on$/m, 'initdb.sh: the image\'s shell goes on') if $name eq 'read';
	is(sql_value($node, q{SELECT count(*) FROM pg_extension WHERE extname = 'tapmig'}, dbname => "made_$name"), 1, "initdb.sh, $name: POSTGRES_DB has it");
	$node->safe_psql('postgres', "CREATE DATABASE later_$name");
	is(sql_value($node, q{SELECT count(*) FROM pg_extension WHERE extname = 'tapmig'}, dbname => "later_$name"), 1, "initdb.sh, $name: and a later database");
	my ($failed) = command(\@command, env => { POSTGRES_USER => $user, POSTGRES_DB => 'nosuch' });
	isnt($failed, 0, "initdb.sh, $name: a failure is one");
	$node->safe_psql('template1', 'DROP EXTENSION tapmig');
}

# The runner's image: a directory with what it copies, and beside it the programs
# of Debian's essential packages and psql alone. So it needs nothing else.
SKIP:
{
	skip 'this is not Debian', 4 unless has('dpkg-query');
	my @lines = dockerfile('deploy/cloudrun/Dockerfile');
	my ($copy) = map { $_->[1] } grep { $_->[0] eq 'COPY' } @lines;
	my $root  = scratch_dir();
	my $image = "$root/usr/local/bin";
	copied($root, $copy);
	my $essential = scratch_dir();
	my @packages = ('mawk', map { /^(\S+) yes$/ ? $1 : () } split /\n/, `dpkg-query -W -f '\${Package} \${Essential}\\n'`);
	for my $program (grep { m{^/(?:usr/)?bin/[^/]+$} } map { split /\n/, `dpkg -L $_` } @packages)
	{
		my $name = $program =~ s{.*/}{}r;
		symlink($program, "$essential/$name") unless -e "$essential/$name";
	}
	symlink('/usr/bin/mawk', "$essential/awk") unless -e "$essential/awk";
	symlink("$bin/psql", "$essential/psql") or die;
	ok(!-e "$essential/git" && !-e "$essential/perl5" && -e "$essential/sh", 'essential programs were found');

	my ($entry) = map { JSON::PP->new->decode($_->[1]) } grep { $_->[0] eq 'ENTRYPOINT' } @lines;
	my ($cmd)   = map { JSON::PP->new->decode($_->[1]) } grep { $_->[0] eq 'CMD' } @lines;
	my $dir     = migrations_dir({ '001_image.sql' => "CREATE TABLE image (i int);\n" });
	my ($exit, $output) = command([ "$image/$entry->[0]", @$cmd ],
		env => { PATH => "$image:$essential", TAPMIG_DIR => $dir }, dbname => tapmig_database($node, 'image'));
	is($exit, 0, 'the runner\'s image has what it needs') or diag $output;
	like($output, qr/"event":"applied","message":"applied 001_image/, 'and applies migrations');
	my %env = map { split /=/, $_->[1], 2 } grep { $_->[0] eq 'ENV' } @lines;
	is($env{TAPMIG_DIR}, '/migrations', 'from where the job mounts them');
}

# ---------------------------------------------------------------- compose.yaml

SKIP:
{
	skip 'there is no Python with YAML here', 8 unless $yaml_python;
	my $compose = yaml("$top/deploy/compose.yaml");

	is_deeply([ sort keys %{ $compose->{services} } ], [ 'db', 'migrate' ], 'compose.yaml: its services');
	for my $service (sort keys %{ $compose->{services} })
	{
		my $build = $compose->{services}{$service}{build};
		ok($build->{context} eq '..' && -e "$top/$build->{dockerfile}", "compose.yaml: the Dockerfile of $service is there");
	}
	my ($volume) = @{ $compose->{services}{migrate}{volumes} };
	like($volume, qr{\A\$\{MIGRATIONS:-\.\./examples/migrations\}:/migrations:ro\z}, 'compose.yaml: the migrations are mounted read-only');
	is($compose->{services}{migrate}{depends_on}{db}{condition}, 'service_healthy', 'compose.yaml: they wait for the database');
	is($compose->{services}{migrate}{restart}, 'no', 'compose.yaml: and are not retried');

	my ($root, $problem) = debian_package('docker-compose');
	my ($schema) = $root ? grep { -e } "$root/usr/lib/python3/dist-packages/compose/config/compose_spec.json" : ();
	skip $problem // 'no schema in the package', 2 unless $schema;
	skip 'there is no jsonschema for Python here', 2 if system("$yaml_python -c 'import jsonschema' 2>/dev/null") != 0;
	my @check = ($yaml_python, '-c', 'import json, sys, yaml, jsonschema; jsonschema.validate(yaml.safe_load(open(sys.argv[2])), json.load(open(sys.argv[1])))', $schema);
	my ($exit, $output) = command([ @check, "$top/deploy/compose.yaml" ]);
	is($exit, 0, 'compose.yaml: as compose\'s own schema wants it') or diag $output;
	my $wrong = write_file(scratch_dir() . '/compose.yaml', read_file("$top/deploy/compose.yaml") =~ s/healthcheck:/healthchecks:/r);
	isnt((command([ @check, $wrong ]))[0], 0, 'compose.yaml: which notices a wrong word');
}

# ------------------------------------------------- jobs: Cloud Run, Kubernetes

SKIP:
{
	skip 'there is no Python with YAML here', 9 unless $yaml_python;
	my $job  = yaml("$top/deploy/cloudrun/job.yaml");
	my $task = $job->{spec}{template}{spec}{template}{spec};
	is($task->{maxRetries} . $job->{spec}{template}{spec}{taskCount}, '01', 'job.yaml: one task, no retries');
	is_deeply([ map { "$_->{name} $_->{csi}{driver} " . ($_->{csi}{readOnly} ? 'ro' : 'rw') } @{ $task->{volumes} } ],
		['migrations gcsfuse.run.googleapis.com ro'], 'job.yaml: the bucket is mounted read-only');
	my ($container) = @{ $task->{containers} };
	my %env = map { $_->{name} => $_ } @{ $container->{env} };
	is_deeply([ map { [ @$_{qw(name mountPath)} ] } @{ $container->{volumeMounts} } ],
		[ [ 'migrations', $env{TAPMIG_DIR}{value} ] ], 'job.yaml: where TAPMIG_DIR says');
	ok(!defined $env{DATABASE_URL}{value} && $env{DATABASE_URL}{valueFrom}{secretKeyRef}, 'job.yaml: the connection is a secret');
	my $dir = migrations_dir({ '001_job.sql' => "CREATE TABLE job (i int);\n" });
	my ($exit, $output) = command([ 'sh', "$top/deploy/cloudrun/runner.sh", @{ $container->{args} } ],
		env => { TAPMIG_DIR => $dir }, dbname => tapmig_database($node, 'job'));
	like($output, qr/"applied 001_job/, 'job.yaml: its arguments apply migrations');

	my $migrate = yaml("$top/deploy/kubernetes/migrate.yaml");
	my $pod = $migrate->{spec}{template}{spec};
	is($migrate->{spec}{backoffLimit} . $pod->{restartPolicy}, '0Never', 'migrate.yaml: no retries');

	# A ConfigMap's files are links into a hidden directory that a link names.
	my $mounted = scratch_dir();
	mkdir "$mounted/..2026_01_14" or die;
	write_file("$mounted/..2026_01_14/001_map.sql", "CREATE TABLE map (i int);\n");
	symlink('..2026_01_14', "$mounted/..data") or die;
	symlink('..data/001_map.sql', "$mounted/001_map.sql") or die;
	my $database = tapmig_database($node, 'configmap');
	($exit, $output) = command([ 'sh', "$top/deploy/cloudrun/runner.sh", @{ $pod->{containers}[0]{args} } ],
		env => { TAPMIG_DIR => $mounted }, dbname => $database);
	is($exit, 0, 'migrate.yaml: applies what a ConfigMap mounts') or diag $output;
	is(sql_value($node, q{SELECT string_agg(version, ' ') FROM tapmig.schema_migrations}, dbname => $database), '001', 'migrate.yaml: once');

	# Its init container
	my ($init) = @{ yaml("$top/deploy/kubernetes/app.yaml")->{spec}{template}{spec}{initContainers} };
	my ($program, @arguments) = @{ $init->{command} };
	my $waiter = start_tapmig($node, \@arguments, dbname => $database);
	my $waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL tapmig.wait_for%' AND state = 'active'";
	ok($program eq 'tapmig' && wait_until($node, $waiting, expect => 1), 'app.yaml: its init container waits');
	is(apply($node, $arguments[1], 'SELECT 1', dbname => $database)->{value}, 'applied', 'the migration comes');
	($exit) = $waiter->finish(60);
	is($exit, 0, 'app.yaml: and it ends');
}

# kubectl decodes into its own types, which drops what they don't know.
SKIP:
{
	skip 'there is no kubectl with Python\'s YAML here', 3 unless $yaml_python && has('kubectl');
	my $decoded = sub {
		my ($exit, $output) = command([ 'kubectl', 'set', 'env', '--local', '-f', $_[0], 'ADDED=1', '-o', 'json' ], env => { HOME => scratch_dir() });
		die $output if $exit;
		return JSON::PP->new->decode($output);
	};
	my $lost;
	$lost = sub {
		my ($wanted, $got, $path) = @_;
		return map { $lost->($wanted->{$_}, ref $got eq 'HASH' ? $got->{$_} : undef, "$path.$_") } sort keys %$wanted if ref $wanted eq 'HASH';
		return map { $lost->($wanted->[$_], ref $got eq 'ARRAY' ? $got->[$_] : undef, "$path.$_") } 0 .. $#$wanted if ref $wanted eq 'ARRAY';
		return defined $got && $got eq $wanted ? () : $path;
	};
	for my $file (qw(migrate app))
	{
		my $path = "$top/deploy/kubernetes/$file.yaml";
		is_deeply([ $lost->(yaml($path), $decoded->($path), '') ], [], "$file.yaml: kubectl knows every field");
	}
	my $wrong = write_file(scratch_dir() . '/x.yaml', read_file("$top/deploy/kubernetes/migrate.yaml") =~ s/backoffLimit/backOffLimit/r);
	is_deeply([ $lost->(yaml($wrong), $decoded->($wrong), '') ], ['.spec.backOffLimit'], 'kubectl: a wrong word is noticed');
}

SKIP:
{
	skip 'there is no Google Cloud CLI with Python\'s YAML here', 2 unless $yaml_python && has('gcloud');
	my $check = <<'PYTHON';
import sys, yaml
sdk = sys.argv[1]
sys.path[:0] = [sdk + "/lib", sdk + "/lib/third_party"]
from apitools.base.py import encoding
from googlecloudsdk.generated_clients.apis.run.v1 import run_v1_messages as messages

def unknown(value, path):
    for name in value.all_unrecognized_fields():
        print(path + "." + name)
    for field in value.all_fields():
        part = getattr(value, field.name)
        for one in part if field.repeated else [part]:
            if hasattr(one, "all_unrecognized_fields") and "AdditionalProperty" not in str(type(one)):
                unknown(one, path + "." + field.name)

unknown(encoding.PyValueToMessage(messages.Job, yaml.safe_load(sys.stdin)), "")
print("checked")
PYTHON
	my ($sdk) = map { s{/bin/[^/]*$}{}r } grep { length } split /\n/, `readlink -f "\$(command -v gcloud)"`;
	skip 'its library is not where it is looked for', 2 unless -d "$sdk/lib/googlecloudsdk/generated_clients/apis/run/v1";
	my $unknown = sub {
		my ($text) = @_;
		my $output = '';
		IPC::Run::run([ $yaml_python, '-c', $check, $sdk ], '<', \$text, '>', \$output, '2>&1');
		return $output;
	};
	my $job = read_file("$top/deploy/cloudrun/job.yaml");
	is($unknown->($job), "checked\n", 'job.yaml: the Google Cloud CLI knows every field');
	is($unknown->($job =~ s/maxRetries:/maxTries:/r), ".spec.template.spec.template.spec.maxTries\nchecked\n", 'job.yaml: a wrong word is noticed');
}

# --------------------------------------------------------------- entrypoint.sh

for my $shell ([ 'dash' ], [ 'busybox', 'sh' ], [ 'bash', '--posix' ])
{
	my $name = "entrypoint.sh under $shell->[0]";

	next unless has($shell->[0]);
	my $database = tapmig_database($node, "start_$shell->[0]");
	my @start = (@$shell, "$top/deploy/entrypoint.sh");
	my @program = ('sh', '-c', 'echo "started: $*"; exit 5', 'program', 'a b', 'c');
	my $begin = sub {
		my (%env) = @_;
		my %run = (out => '');
		local %ENV = ($node->_get_env(PGDATABASE => $database), PATH => "$bin:$ENV{PATH}", %env);
		$run{h} = IPC::Run::start([ @start, @program ], '<', '/dev/null', '>', \$run{out}, '2>&1', IPC::Run::timeout(120));
		return \%run;
	};
	my $waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = '$database' AND query LIKE 'CALL tapmig.wait_for%' AND state = 'active'";

	my ($exit, $output) = command([ @start, @program ], dbname => $database, env => { TAPMIG_VERSION => '036', TAPMIG_TIMEOUT => 0 });
	is($exit, 6, "$name: not applied, exit code 6");
	unlike($output, qr/started/, "$name: and the program is not started");
	($exit) = command([ @start, @program ], dbname => $database, env => { TAPMIG_VERSION => '036', PGHOST => '127.0.0.1', PGPORT => 1 });
	is($exit, 3, "$name: no connection, exit code 3");
	($exit) = command([ @start, @program ], dbname => $database);
	is($exit, 2, "$name: no version named, exit code 2");

	my $run = $begin->(TAPMIG_VERSION => '036');
	ok(wait_until($node, $waiting, expect => 1), "$name: it waits");
	$run->{h}->signal('TERM');
	$run->{h}->finish;
	is($run->{h}->result(0), 143, "$name: TERM ends it");
	sql_value($node, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '$database'");
	ok(wait_until($node, $waiting, expect => 0), "$name: ended");

	$run = $begin->(TAPMIG_VERSION => '036');
	ok(wait_until($node, $waiting, expect => 1), "$name: it waits again");
	is(apply($node, '036', 'SELECT 1', dbname => $database)->{value}, 'applied', "$name: the migration comes");
	$run->{h}->finish;
	is($run->{h}->result(0) . $run->{out}, "5started: a b c\n", "$name: and it becomes the program");
	for my $timeout (0, '1min')
	{
		($exit, $output) = command([ @start, @program ], dbname => $database, env => { TAPMIG_VERSION => '36', TAPMIG_TIMEOUT => $timeout });
		is("$exit$output", "5started: a b c\n", "$name: applied, timeout $timeout");
	}
}

# ------------------------------------------------------------------- README.md

my $readme = read_file("$top/deploy/README.md");
my @blocks;
while ($readme =~ /(?:^(\*Not run by the tests[^\n]*(?:\n[^\n]+)*)\n\n)?^```(\w*)\n(.*?)^```$/msg)
{
	push @blocks, { marked => defined $1, language => $2, text => $3 };
}
is(scalar @blocks, (() = $readme =~ /^```/mg) / 2, 'README: its blocks were found');
is_deeply([ grep { $_->{language} !~ /\A(?:sh|json|hcl)\z/ } @blocks ], [], 'README: each has a language');
for my $block (grep { $_->{marked} } @blocks)
{
	like($block->{text}, qr/docker|gcloud|kubectl|cloudrun|localhost:5432|sudo /, 'README: what is not run is what cannot be');
}
my %missing;
for my $path ($readme =~ m{(?<![\w./:-])((?:deploy|examples|cloudrun|kubernetes|terraform)/[\w./-]*\w)}g)
{
	$missing{$path} = 1 unless -e "$top/$path" || -e "$top/deploy/$path";
}
is_deeply([ sort keys %missing ], [], 'README: the files that it names are there');

my $checkout = scratch_dir();
system('cp', '-R', "$top/.", $checkout) == 0 or die;
my $database = tapmig_database($node, 'readme');
my $said = '';
my %ran;
for my $block (grep { $_->{language} eq 'sh' && !$_->{marked} } @blocks)
{
	my ($first) = $block->{text} =~ /^((?:terraform|dpkg-buildpackage|python3|export TAPMIG_DIR|export TAPMIG_VERSION))/ or die $block->{text};
	$ran{$first} = 1;
	SKIP:
	{
		skip 'there is no terraform here', 1 if $first eq 'terraform' && !has('terraform');
		if ($first eq 'dpkg-buildpackage')
		{
			# 634_packages.pl runs this one.
			is($block->{text}, "dpkg-buildpackage -us -uc\n", 'README: dpkg-buildpackage');
			next;
		}
		my %env;
		if ($first eq 'python3')
		{
			my ($python) = grep { system("$_ -c 'import pytest, psycopg2' 2>/dev/null") == 0 } 'python3', '/usr/bin/python3';
			skip 'there is no pytest with psycopg2 here', 1 unless $python;
			my $shim = scratch_dir();
			write_file("$shim/python3", "#!/bin/sh\nexec $python \"\$@\"\n") if $python ne 'python3';
			chmod 0755, glob("$shim/*");
			%env = (PATH => "$shim:$bin:$ENV{PATH}");
		}
		my ($exit, $output) = command([ 'sh', '-euc', $block->{text} ], cwd => $checkout, dbname => $database, env => \%env);
		is($exit, 0, "README: $first") or diag $output;
		$said .= $output;
	}
}
is_deeply([ sort keys %ran ], [ 'dpkg-buildpackage', 'export TAPMIG_DIR', 'export TAPMIG_VERSION', 'python3', 'terraform' ], 'README: what was run');
like($said, qr/^the application starts$/m, 'README: the application starts');

sub masked { return $_[0] =~ s/\d{4}-\d\d-\d\dT[\d:]+Z/TIME/gr =~ s/\(\d+ ms\)/(N ms)/gr; }
my @json = map { split /\n/, $_->{text} } grep { $_->{language} eq 'json' } @blocks;
is(scalar @json, 3, 'README: lines of the log');
my %said = map { $_ => 1 } split /\n/, masked($said);
is_deeply([ grep { !$said{ masked($_) } } @json ], [], 'README: runner.sh writes these');

SKIP:
{
	skip 'there is no terraform here', 1 unless has('terraform');
	my ($hcl) = map { $_->{text} } grep { $_->{language} eq 'hcl' } @blocks;
	write_file("$checkout/main.tf", $hcl);
	system('cp', '-R', "$checkout/examples/migrations", "$checkout/migrations") == 0 or die;
	my ($exit, $output) = command([ 'sh', '-euc', 'terraform init && terraform apply -auto-approve && terraform plan -detailed-exitcode' ],
		cwd => $checkout, dbname => tapmig_database($node, 'hcl'));
	is($exit, 0, 'README: the module as it stands there') or diag $output;
}

# Its table of events is what runner.sh writes.
my %table;
for my $row ($readme =~ /^\| ((?:`\w+`(?:, )?)+) \| (?:INFO|WARNING|ERROR|the server's) \|/mg)
{
	$table{$_} = 1 for $row =~ /`(\w+)`/g;
}
my $script = read_file("$top/deploy/cloudrun/runner.sh");
my %written = map { $_ => 1 } $script =~ /^[^#\n]*\b(?:emit|advise) (?:[A-Z]+|"\$severity") '?([a-z]+)\b/mg;
$written{$_} = 1 for grep { $script =~ /'\Q$_\E '\*/ } qw(applied registered);
is_deeply([ sort keys %table ], [ sort keys %written ], 'README: the events are those of runner.sh');

done_testing();
