# deploy/terraform, with terraform itself and a database: what triggers a run,
# how often, what a failure does. The commands of the Cloud Run example run too,
# with a gcloud of this test's that has a directory for a bucket and runs
# runner.sh as the job.

use strict;
use warnings;

use Cwd      ();
use IPC::Run ();
use TapmigTest;
use Test::More;

plan skip_all => 'there is no terraform here' if system('command -v terraform >/dev/null') != 0;

my $top  = top_dir();
my $node = tapmig_node('main');
my $bin  = tapmig_bin() =~ s{/[^/]*$}{}r;
my %environment;

# -> exit code, what it wrote
sub terraform
{
	my ($dir, @arguments) = @_;
	my $output = '';

	local %ENV = ($node->_get_env(PGDATABASE => 'postgres'), CHECKPOINT_DISABLE => 1, TF_IN_AUTOMATION => 1,
		TF_CLI_CONFIG_FILE => '/dev/null', %environment);
	delete @ENV{qw(DATABASE_URL TAPMIG_DIR TAPMIG_REVISION)};
	$ENV{PATH} = "$bin:$ENV{PATH}";
	my $h = IPC::Run::start([ 'terraform', @arguments ], '<', '/dev/null', '>', \$output, '2>&1',
		init => sub { chdir($dir) or die "$dir: $!" }, IPC::Run::timeout(180));
	$h->finish;
	return ($h->result(0) // 255, $output);
}

sub init_ok
{
	my ($dir) = @_;
	my ($exit, $output) = terraform($dir, 'init', '-input=false', '-no-color');

	is($exit, 0, 'init, without a provider to download') or diag $output;
}

sub apply_ok
{
	my ($dir, $name, @options) = @_;
	my ($exit, $output) = terraform($dir, 'apply', '-auto-approve', '-input=false', '-no-color', @options);

	is($exit, 0, "$name: apply") or diag $output;
	return $output;
}

# 0: nothing to do, 2: something, 1: an error
sub planned
{
	my ($dir, @options) = @_;
	my ($exit, $output) = terraform($dir, 'plan', '-detailed-exitcode', '-input=false', '-no-color', @options);

	diag $output if $exit == 1;
	return $exit;
}

sub applied
{
	return join ' ', map { $_->[0] } @{ sql_try($node,
			'SELECT version FROM tapmig.schema_migrations WHERE track = $1 ORDER BY tapmig.version_key(version)', bind => [ $_[0] ])->{rows} };
}

# ------------------------------------------------------------------ the module

my $work  = scratch_dir();
my $files = migrations_dir({ '001_a.sql' => "CREATE TABLE a (i int);\n", '002_b/up.sql' => "CREATE TABLE b (i int);\n" });
my $log   = "$work/log";
mkdir "$work/bucket" or die;
mkdir "$work/config" or die;
write_file("$work/config/main.tf", <<"END");
variable "migrations" {}
variable "triggers" {
  type    = map(string)
  default = {}
}
variable "other" { default = "1" }

module "migrations" {
  source    = "$top/deploy/terraform"
  directory = var.migrations
  upload    = "echo upload >>\$LOG; test ! -e \$BUCKET.broken; rm -rf \$BUCKET; cp -R \$TAPMIG_DIR \$BUCKET"
  command   = "echo run >>\$LOG; TAPMIG_DIR=\$BUCKET sh $top/deploy/cloudrun/runner.sh --track module"
  triggers  = var.triggers
  environment = {
    LOG    = "$log"
    BUCKET = "$work/bucket"
  }
}

resource "terraform_data" "application" {
  triggers_replace = module.migrations.applied
  provisioner "local-exec" {
    command = "echo application >>$log"
  }
}

resource "terraform_data" "other" {
  triggers_replace = var.other
  provisioner "local-exec" {
    command = "echo other >>$log"
  }
}
END
my $config = "$work/config";
my @files  = ('-var', "migrations=$files");

# What was logged since the last time.
sub logged
{
	my $text = -e $log ? read_file($log) : '';

	write_file($log, '');
	return join ' ', split /\n/, $text;
}

init_ok($config);
apply_ok($config, 'first', @files);
like(logged(), qr/^(?=.*\bother\b)(?:other )?upload (?:other )?run (?:other )?application(?: other)?$/, 'first: upload, run, application, in this order');
is(applied('module'), '001 002', 'first: the migrations are in');
is(planned($config, @files), 0, 'the plan after it is empty');

write_file("$files/README.md",    "x\n");
write_file("$files/schema.sql",   "x\n");
write_file("$files/.hidden.sql",  "x\n");
symlink('nowhere', "$files/.#001_a.sql") or die;
utime(0, 0, "$files/001_a.sql") or die;
is(planned($config, @files), 0, 'what tapmig does not read triggers nothing');

write_file("$files/003_c.sql", "CREATE TABLE c (i int);\n");
is(planned($config, @files), 2, 'a new file is planned');
is(logged(), '', 'and planning runs nothing');
apply_ok($config, 'a new file', @files);
is(logged(), 'upload run application', 'a new file: one upload, one run');
is(applied('module'), '001 002 003', 'a new file: it is in');
is(planned($config, @files), 0, 'the plan after it is empty');

# The state knows names and contents, no paths: another machine's checkout.
my $elsewhere = scratch_dir();
system('cp', '-R', $files, "$elsewhere/migrations") == 0 or die;
is(planned($config, '-var', "migrations=$elsewhere/migrations"), 0, 'the same files in another place trigger nothing');
is(planned($config, '-var', 'migrations=' . ($files =~ s{^/}{'../' x 20}er)), 0, 'nor does a relative path');

# A failure
write_file("$files/004_d.sql", "CREATE TABLE d (i int);\nSELECT nosuch();\n");
my ($exit, $output) = terraform($config, 'apply', '-auto-approve', '-no-color', @files);
is($exit, 1, 'a failed migration fails the apply');
like($output, qr/004_d: ERROR:  function nosuch\(\) does not exist/, 'with its message');
is(logged(), 'upload run', 'the application was left alone');
is(applied('module'), '001 002 003', 'nothing of it is in');
($exit, $output) = terraform($config, 'apply', '-auto-approve', '-no-color', @files);
is($exit . ' ' . logged(), '1 run', 'the next apply tries again, and fails again');
write_file("$files/004_d.sql", "CREATE TABLE d (i int);\n");
apply_ok($config, 'corrected', @files);
is(logged(), 'upload run application', 'corrected: one upload, one run');
is(applied('module'), '001 002 003 004', 'corrected: it is in');
is(planned($config, @files), 0, 'the plan after it is empty');

# An upload that fails
write_file("$work/bucket.broken", '');
write_file("$files/005_e.sql", "CREATE TABLE e (i int);\n");
($exit) = terraform($config, 'apply', '-auto-approve', '-no-color', @files);
is($exit . ' ' . logged(), '1 upload', 'an upload that fails: nothing is run');
unlink "$work/bucket.broken" or die;
apply_ok($config, 'uploaded', @files);
is(logged(), 'upload run application', 'uploaded: and then it is');

# -target
write_file("$files/006_f.sql", "CREATE TABLE f (i int);\n");
my @changed = (@files, '-var', 'other=2');
apply_ok($config, '-target of another', @changed, '-target=terraform_data.other');
is(logged(), 'other', '-target of another resource runs no migration');
apply_ok($config, '-target', @changed, '-target=module.migrations');
is(logged(), 'upload run', '-target=module.migrations: upload and run, nothing else');
is(applied('module'), '001 002 003 004 005 006', '-target: it is in');
write_file("$files/007_g.sql", "CREATE TABLE g (i int);\n");
apply_ok($config, '-target of the run', @changed, '-target=module.migrations.terraform_data.run');
is(logged(), 'upload run', '-target of the run alone uploads before it');
write_file("$files/008_h.sql", "CREATE TABLE h (i int);\n");
apply_ok($config, '-target of the application', @changed, '-target=terraform_data.application');
is(logged(), 'upload run application', '-target of the application brings the migrations first');
is(planned($config, @changed), 0, 'the plan after it is empty');

# A renamed file: its old name must not be left in the bucket.
rename("$files/008_h.sql", "$files/008_renamed.sql") or die;
apply_ok($config, 'renamed', @changed);
is(logged(), 'upload run application', 'a renamed file is uploaded');
is_deeply([ map { s{.*/}{}r } glob("$work/bucket/008*") ], ['008_renamed.sql'], 'under its new name only');

# triggers
my @triggered = (@changed, '-var', 'triggers={database="new"}');
apply_ok($config, 'triggers', @triggered);
is(logged(), 'upload run application', 'a changed trigger runs it once');
is(planned($config, @triggered), 0, 'the plan after it is empty');

# Files that change between plan and apply: not silently another set.
write_file("$files/009_i.sql", "CREATE TABLE i (i int);\n");
is(planned($config, @triggered, "-out=$work/saved"), 2, 'a plan is saved');
write_file("$files/010_j.sql", "CREATE TABLE j (i int);\n");
($exit, $output) = terraform($config, 'apply', '-no-color', "$work/saved");
isnt($exit, 0, 'a saved plan is refused when the files have changed since');
is(logged(), '', 'and nothing was run');
apply_ok($config, 'planned anew', @triggered);
is(logged(), 'upload run application', 'planned anew, it is');
is(applied('module'), '001 002 003 004 005 006 007 008 009 010', 'all are in');

# Other tools' directories
my %layout = (
	sqitch   => [ { 'sqitch.plan' => "%project=x\n", 'deploy/a.sql' => "SELECT 1;\n" }, 'deploy/more/b.sql', 'sqitch.plan' ],
	graphile => [ { 'current.sql' => '', 'committed/000001.sql' => "SELECT 1;\n" }, 'committed/000002.sql' ]);
mkdir "$work/layout" or die;
for my $tool (sort keys %layout)
{
	my ($given, @changes) = @{ $layout{$tool} };
	my $directory = migrations_dir($given);

	write_file("$work/layout/$tool.tf", "module \"$tool\" {\n  source = \"$top/deploy/terraform\"\n" .
		  "  directory = \"$directory\"\n  command = \"true\"\n}\n");
	$layout{$tool} = [ $directory, @changes ];
}
init_ok("$work/layout");
apply_ok("$work/layout", 'other layouts');
for my $tool (sort keys %layout)
{
	my ($directory, @changes) = @{ $layout{$tool} };

	for my $file (@changes)
	{
		is(planned("$work/layout"), 0, "$tool: the plan is empty");
		mkdir "$directory/" . ($file =~ s{/[^/]*$}{}r) if $file =~ m{/};
		write_file("$directory/$file", "SELECT 2;\n");
		is(planned("$work/layout"), 2, "$tool: $file is planned");
		apply_ok("$work/layout", $file);
	}
}

# A wrong directory
for my $wrong (scratch_dir(), $elsewhere, "$work/nosuch")
{
	($exit, $output) = terraform($config, 'apply', '-auto-approve', '-no-color', '-var', "migrations=$wrong", '-var', 'other=2');
	is($exit, 1, 'no file at all: refused');
	like($output =~ s/[\s|\x{2502}\xe2\x94\x82]+/ /gr, qr/No migration in/, 'and that is said') or diag $output;
	is(logged(), '', 'nothing was emptied or run');
}

# ---------------------------------------------------------------- the examples

sub copied
{
	my ($example) = @_;
	my $dir = scratch_dir();

	system('cp', '-R', "$top/deploy/terraform", "$dir/terraform") == 0 or die;
	return "$dir/terraform/examples/$example";
}

my $local = copied('local');
my $dir   = migrations_dir({ '101_local.sql' => "CREATE TABLE local (i int);\n" });
my $database = tapmig_database($node, 'local');
%environment = (PGDATABASE => $database);
init_ok($local);
apply_ok($local, 'the local example', '-var', "migrations=$dir");
is(sql_value($node, "SELECT tapmig.is_applied('101')", dbname => $database), 't', 'the local example: the migration is in');
is(planned($local, '-var', "migrations=$dir"), 0, 'the local example: the plan after it is empty');

# The Google provider cannot be had here: the module's block alone is left of
# the example, with what refers to the provider's resources written out.
my $cloud = copied('cloudrun');
$database = tapmig_database($node, 'cloudrun');
my ($block) = read_file("$cloud/main.tf") =~ /^(module "migrations" \{.*?^\})/ms;
is($block =~ s/google_storage_bucket\.migrations\.name/"fleet-migrations"/g, 1, 'the Cloud Run example names its bucket');
is($block =~ s/google_cloud_run_v2_job\.migrate\.name/"fleet-migrate"/g, 1, 'and its job');
write_file("$cloud/main.tf", $block);
my $bucket = scratch_dir();
write_file("$cloud/bin/gcloud", <<"END");
#!/bin/sh
set -eu
echo "gcloud \$*" >>'$log'
case "\$1 \$2 \$3" in
'storage rsync --recursive')
	test "\$4" = --delete-unmatched-destination-objects
	test "\$6" = gs://fleet-migrations
	rm -rf '$bucket'
	cp -R "\$5" '$bucket'
	;;
'run jobs execute')
	test "\$4 \$5 \$6 \$7 \$8 \$9" = 'fleet-migrate --project p --region europe-west1 --update-env-vars'
	shift 9
	test "\$2" = --wait
	env "\$1" TAPMIG_DIR='$bucket' sh '$top/deploy/cloudrun/runner.sh' up
	;;
*) exit 99 ;;
esac
END
chmod 0755, "$cloud/bin/gcloud";
%environment = (PGDATABASE => $database, PATH => "$cloud/bin:$ENV{PATH}");
my @cloud = ('-var', 'project=p', '-var', 'image=i', '-var', 'revision=abc', '-var', "migrations=$dir");
logged();
init_ok($cloud);
apply_ok($cloud, 'the Cloud Run example', @cloud);
like(logged(), qr/^gcloud storage rsync .* gcloud run jobs execute .* --wait$/, 'the Cloud Run example: upload, then the job');
is(sql_value($node, "SELECT source FROM tapmig.schema_migrations WHERE version = '101'", dbname => $database),
	"$bucket/101_local.sql\@abc", 'the Cloud Run example: the migration is in, with the revision');
is(planned($cloud, @cloud), 0, 'the Cloud Run example: the plan after it is empty');
write_file("$dir/102_bad.sql", "SELECT nosuch();\n");
($exit, $output) = terraform($cloud, 'apply', '-auto-approve', '-no-color', @cloud);
is($exit, 1, 'the Cloud Run example: a failed job fails the apply');
like($output, qr/"severity":"ERROR"/, 'the Cloud Run example: with its message');

# ---------------------------------------------------------------------- layout

($exit, $output) = terraform("$top/deploy/terraform", 'fmt', '-check', '-recursive', '-diff', '-no-color');
is("$exit$output", '0', 'terraform fmt has nothing to say');

done_testing();
