# TapmigStepwise.pm
#
# What the tests of stepwise scripts share, over TapmigTest.
#
# holder($node, %opt)	-> a session that is idle in transaction and has a
#		snapshot: CREATE INDEX CONCURRENTLY waits for it at its end. try('ROLLBACK')
#		or close lets the build go on.
# start_run($session, $version, $script)	sends CALL tapmig.run
# worker_pid($node)		the one worker's pid; waits for it
# wait_build($node, %opt)	until a worker's index build waits for old snapshots
# no_worker($node)		waits until no worker is left; 1 or 0
# valid($node, $index)	't', 'f', or undef without such an index
# attempt($node, $version)	-> hash of the last attempt's row, values as text
# attempts($node, $version)	-> outcomes of all, in order, comma-separated
# make_gates($node, $db)	in a database with tapmig: a step waits where
#		public.gates has its name ('begin 2', 'done 2', and what public.gate() is
#		called with) while somebody holds advisory lock 4711; schema app of the role
#		builder
# rows_of($node, $sql)	rows joined with | and line ends

package TapmigStepwise;

use strict;
use warnings;

use Exporter 'import';
use TapmigTest;
use Test::More;

our @EXPORT = qw(
  holder start_run worker_pid wait_build make_gates no_worker valid attempt attempts rows_of
  $a_worker
);

# A worker that is there, for the FROM or WHERE of pg_stat_activity
our $a_worker = "backend_type = 'tapmig worker'";

sub holder
{
	my ($node, %opt) = @_;
	my $session = session($node, %opt);

	for ('BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT 1')
	{
		my $r = $session->try($_);
		die $r->{message} unless $r->{ok};
	}
	return $session;
}

sub start_run
{
	my ($session, $version, $script) = @_;

	$session->start('CALL tapmig.run($1, $2)', bind => [ $version, $script ]);
	return;
}

sub worker_pid
{
	my ($node) = @_;

	return unless wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE $a_worker");
	return sql_value($node, "SELECT pid FROM pg_stat_activity WHERE $a_worker");
}

sub wait_build
{
	my ($node, %opt) = @_;

	return wait_until($node, <<SQL, %opt);
SELECT EXISTS (SELECT FROM pg_stat_progress_create_index JOIN pg_stat_activity USING (pid)
	WHERE $a_worker AND phase = 'waiting for old snapshots' AND wait_event_type = 'Lock')
SQL
}

sub make_gates
{
	my ($node, $db) = @_;

	$node->safe_psql($db, <<'SQL');
CREATE TABLE public.gates (name text);
CREATE FUNCTION public.gate(text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM public.gates WHERE name = $1) THEN PERFORM pg_advisory_xact_lock(4711); END IF;
END $$;
CREATE FUNCTION public.gate_of_attempts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.step_running IS NOT NULL THEN PERFORM public.gate('begin ' || NEW.step_running);
	ELSIF NEW.outcome = 'running' AND NEW.steps_done > OLD.steps_done THEN PERFORM public.gate('done ' || NEW.steps_done);
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER zz_gate BEFORE UPDATE ON tapmig.attempts FOR EACH ROW EXECUTE FUNCTION public.gate_of_attempts();
CREATE SCHEMA app AUTHORIZATION builder;
GRANT SELECT ON public.gates TO PUBLIC;
SQL
}

sub no_worker
{
	my ($node) = @_;

	return wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE $a_worker)");
}

sub valid
{
	my ($node, $index, %opt) = @_;

	return sql_value($node,
		'SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(' . quoted($index) . ')', %opt);
}

sub attempt
{
	my ($node, $version) = @_;
	my @names = qw(outcome sqlstate message detail line steps steps_done pid finished_at);
	my $r     = sql_try($node, 'SELECT ' . join(', ', @names)
		  . ' FROM tapmig.attempts WHERE tapmig.version_key(version) = tapmig.version_key(' . quoted($version) . ') ORDER BY id DESC LIMIT 1');
	my %row;

	@row{@names} = @{ $r->{rows}[0] // [] };
	return \%row;
}

sub attempts
{
	my ($node, $version) = @_;

	return sql_value($node,
		"SELECT string_agg(outcome, ',' ORDER BY id) FROM tapmig.attempts WHERE tapmig.version_key(version) = tapmig.version_key("
		  . quoted($version) . ')');
}

sub rows_of
{
	my ($node, $sql, %opt) = @_;
	my $r = sql_try($node, $sql, %opt);

	return "$r->{sqlstate} $r->{message}" unless $r->{ok};
	return join("\n", map { join('|', map { $_ // '' } @$_) } @{ $r->{rows} });
}

1;
