# The job run by hand: the README's gcloud command, and the Terraform example's,
# with the Google Cloud CLI itself against an API of this test's on the loopback.
# Whether the job failed is what the API says; the exit code is what counts here.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

for my $program (qw(gcloud python3))
{
	plan skip_all => "there is no $program here" if system("command -v $program >/dev/null") != 0;
}

my $top  = top_dir();
my $work = scratch_dir();
my $api  = <<'PYTHON';
import http.server, json, os, sys

work, succeeds = sys.argv[1], sys.argv[2] == "1"
template = {"metadata": {}, "spec": {"containers": [{"image": "runner"}]}}

def answer(path):
    if "/executions/" in path or path.endswith(":run"):
        state = "True" if succeeds else "False"
        return {
            "apiVersion": "run.googleapis.com/v1", "kind": "Execution",
            "metadata": {"name": "fleet-migrate-1", "namespace": "p", "generation": 1},
            "spec": {"taskCount": 1, "template": template},
            "status": {} if path.endswith(":run") else {
                "observedGeneration": 1, "succeededCount": int(succeeds), "failedCount": int(not succeeds),
                "startTime": "2026-01-14T09:30:00Z", "completionTime": "2026-01-14T09:30:10Z",
                "conditions": [
                    {"type": "Completed", "status": state, "reason": "NonZeroExitCode", "message": "the task failed"},
                    {"type": "ResourcesAvailable", "status": "True"}, {"type": "Started", "status": "True"}]}}
    return {
        "apiVersion": "run.googleapis.com/v1", "kind": "Job",
        "metadata": {"name": "fleet-migrate", "namespace": "p", "generation": 1},
        "spec": {"template": {"metadata": {}, "spec": {"template": template}}},
        "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}}

class Api(http.server.BaseHTTPRequestHandler):
    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        with open(work + "/requests", "a") as log:
            log.write("%s %s %s\n" % (self.command, self.path, body))
        text = json.dumps(answer(self.path.split("?")[0])).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_POST = handle_one
    def log_message(self, *arguments):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Api)
with open(work + "/port.new", "w") as port:
    port.write(str(server.server_port))
os.rename(work + "/port.new", work + "/port")
server.serve_forever()
PYTHON
write_file("$work/api.py", $api);
write_file("$work/token",  "none\n");

# -> exit code, what gcloud wrote, what it asked for. $succeeds: the job's fate
sub gcloud
{
	my ($command, $succeeds) = @_;
	my $output = '';

	unlink "$work/port", "$work/requests";
	my $server = IPC::Run::start([ 'python3', "$work/api.py", $work, $succeeds ], '<', '/dev/null', '>', '/dev/null', IPC::Run::timeout(300));
	for (1 .. 600)
	{
		last if -e "$work/port";
		select(undef, undef, undef, 0.05);
	}
	my $port = read_file("$work/port");

	# As a proxy it gets every request, so that none leaves this machine.
	local %ENV = (%ENV, HOME => $work,
		(map { $_ => "http://127.0.0.1:$port" } qw(http_proxy HTTP_PROXY https_proxy HTTPS_PROXY)),
		CLOUDSDK_CONFIG => "$work/config", CLOUDSDK_CORE_PROJECT => 'p', CLOUDSDK_CORE_DISABLE_PROMPTS => 1,
		CLOUDSDK_CORE_DISABLE_USAGE_REPORTING => 1, CLOUDSDK_CORE_CHECK_GCE_METADATA => 'false',
		CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK => 1, CLOUDSDK_AUTH_ACCESS_TOKEN_FILE => "$work/token",
		CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN => 'http://run.test/');
	delete @ENV{qw(no_proxy NO_PROXY)};
	my $h = IPC::Run::start([ 'timeout', '120', 'sh', '-euc', $command ], '<', '/dev/null', '>', \$output, '2>&1');
	$h->finish;
	$server->kill_kill(grace => 1);
	return ($h->result(0) // 255, $output, -e "$work/requests" ? read_file("$work/requests") : '');
}

my ($by_hand) = read_file("$top/deploy/README.md") =~ /^(gcloud run jobs execute .*)$/m;
like($by_hand, qr/ --wait$/, 'the README has the command, with --wait');
$by_hand =~ s/\bREGION\b/europe-west1/;

my ($exit, $output, $requests) = gcloud($by_hand, 1);
is($exit, 0, 'by hand: exit code 0 when the job succeeds') or diag $output;
like($requests, qr{^POST \S*/namespaces/p/jobs/fleet-migrate:run}m, 'by hand: it ran the job');
like($requests, qr{^GET \S*/namespaces/p/executions/fleet-migrate-1}m,  'by hand: and asked how it ended');

($exit, $output) = gcloud($by_hand, 0);
is($exit, 1, 'by hand: exit code 1 when the job fails');
like($output, qr/The execution failed/, 'by hand: and says so') or diag $output;

($exit, $output, $requests) = gcloud($by_hand =~ s/ --wait//r . ' --args=up,--to,036', 1);
like($requests, qr/"args": ?\["up", ?"--to", ?"036"\]/, 'by hand: other arguments of tapmig') or diag $output;

my ($module) = read_file("$top/deploy/terraform/examples/cloudrun/main.tf") =~ /^  command = "(.*)"$/m;
$module =~ s/\\"/"/g;
($exit, $output, $requests) = gcloud("JOB=fleet-migrate PROJECT=p REGION=europe-west1 REVISION=abc; $module", 0);
is($exit, 1, 'Terraform: exit code 1 when the job fails');
like($output, qr/The execution failed/, 'Terraform: and says so') or diag $output;
like($requests, qr/"name": ?"TAPMIG_REVISION", ?"value": ?"abc"/, 'Terraform: the revision goes with it');

done_testing();
