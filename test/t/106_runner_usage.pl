# The command line: help, version, wrong words. None of it needs a server.

use strict;
use warnings;

use TapmigTest;
use Test::More;

sub tapmig { return run_tapmig(undef, [@_], env => { PGHOST => '/nowhere' }); }

my ($exit, $out, $err) = tapmig('--version');
my ($version) = read_file(top_dir() . '/tapmig.control') =~ /^default_version = '(.*)'$/m;
is("$exit|$out|$err", "0|tapmig $version\n|", "--version is the extension's");

my @commands = qw(up status plan rehearse lint new register baseline accept withdraw abandon require wait dump check promote);
($exit, $out, $err) = tapmig('--help');
is("$exit|$err", '0|', '--help');
like($out, qr/^  $_ /m, "--help lists $_") for @commands;
my $options = $out =~ s/.*^Options/Options/smr;
for my $command (@commands)
{
	($exit, $out, $err) = tapmig($command, '--help');
	is("$exit|$err", '0|', "$command --help");
	like($out, qr/\AUsage: tapmig $command/, "$command --help is about it");
	like($out, qr/\Q$options\E\z/, "$command --help has the common options");
}
is((tapmig('--help', 'up'))[1], (tapmig('up', '-h'))[1], '--help before the command');
is((tapmig('help', 'wait'))[1], (tapmig('wait', '--help'))[1], 'help COMMAND');

my @wrong = (
	[ [], qr/\AUsage: tapmig COMMAND/ ],
	[ ['upp'],                                qr/there is no command upp/ ],
	[ [ 'up', '--nope' ],                     qr/there is no option --nope/ ],
	[ [ 'up', '-x' ],                         qr/there is no option -x/ ],
	[ [ 'up', '036' ],                        qr/up takes no further word: 036/ ],
	[ [ 'up', '--dir' ],                      qr/--dir needs a value/ ],
	[ [ 'up', '--dir=' ],                     qr/--dir needs a value/ ],
	[ [ 'up', '--why', 'x' ],                 qr/--why does not belong to up/ ],
	[ [ 'status', '--markdown' ],             qr/--markdown does not belong to status/ ],
	[ ['promote'],                            qr/promote needs --from/ ],
	[ [ 'require', '3', '--json' ],           qr/--json does not belong to require/ ],
	[ [ 'up', '--svg', 'x' ],                 qr/--svg does not belong to up/ ],
	[ [ 'rehearse', '--svg' ],                qr/--svg needs a value/ ],
	[ [ 'lint', '--format' ],                 qr/--format needs a value/ ],
	[ [ 'lint', '--format', 'xml' ],          qr/--format xml: there are text, json and github/ ],
	[ [ 'lint', '--json', '--format=text' ],  qr/--json and --format text: one of them/ ],
	[ [ 'lint', '--to', '3' ],                qr/--to does not belong to lint/ ],
	[ [ 'up', '--format', 'json' ],           qr/--format does not belong to up/ ],
	[ [ 'rehearse', '' ],                     qr/an empty word is no version/ ],
	[ [ 'status', '--to', '3' ],              qr/--to does not belong to status/ ],
	[ [ 'require', '3', '--strict' ],         qr/--strict does not belong to require/ ],
	[ ['new'],                                qr/new needs a name/ ],
	[ ['register'],                           qr/register needs a version/ ],
	[ ['baseline'],                           qr/baseline takes one version/ ],
	[ [ 'require', '1', '2' ],                qr/require takes one version/ ],
	[ [ 'require', '' ],                      qr/an empty word is no version/ ],
	[ [ 'accept', '1' ],                      qr/accept needs --why TEXT/ ],
	[ [ 'withdraw', '1' ],                    qr/withdraw needs --why TEXT/ ],
);
for my $case (@wrong)
{
	my ($arguments, $like) = @$case;

	($exit, $out, $err) = tapmig(@$arguments);
	is("$exit|$out", '2|', "exit code 2: tapmig @$arguments") or diag $err;
	like($err, $like, 'its message');
}

done_testing();
