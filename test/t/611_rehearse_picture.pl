# tapmig rehearse --svg, looked at in a browser: the bars are where they should
# be, in their colours, on white. A blank page fails, and so does a broken one.

use strict;
use warnings;

use Compress::Zlib ();
use IPC::Run       ();
use JSON::PP       ();
use TapmigRehearsal;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $dir  = scratch_dir();
my ($no, $yes) = (JSON::PP::false, JSON::PP::true);

canned_rehearsal($node);

# A PNG of 8 bits without interlacing: its width, its height, and its lines, each
# a list of pixels 'rrggbb'.
sub read_png
{
	my ($path) = @_;
	my $bytes = read_file($path);
	my ($w, $h, $depth, $type, $packed) = (0, 0, 0, 0, '');

	die "$path is no PNG" unless $bytes =~ s/\A\x89PNG\r\n\x1a\n//;
	while (my ($length, $name) = unpack 'N a4', $bytes)
	{
		my $data = substr $bytes, 8, $length;

		($w, $h, $depth, $type) = unpack 'N N C C', $data if $name eq 'IHDR';
		$packed .= $data if $name eq 'IDAT';
		last if $name eq 'IEND';
		substr($bytes, 0, 12 + $length) = '';
	}
	my $size = { 2 => 3, 6 => 4 }->{$type};
	die "$path: depth $depth, type $type" unless $depth == 8 && $size;

	my $raw   = Compress::Zlib::uncompress($packed);
	my @above = (0) x ($w * $size);
	my @lines;
	for my $y (0 .. $h - 1)
	{
		my ($filter, @line) = unpack 'C*', substr $raw, $y * ($w * $size + 1), $w * $size + 1;

		for my $i ($filter ? (0 .. $#line) : ())
		{
			my ($left, $up) = ($i < $size ? 0 : $line[ $i - $size ], $above[$i]);

			if    ($filter == 1) { $line[$i] += $left; }
			elsif ($filter == 2) { $line[$i] += $up; }
			elsif ($filter == 3) { $line[$i] += ($left + $up) >> 1; }
			else
			{
				my $corner = $i < $size ? 0 : $above[ $i - $size ];
				my ($pa, $pb, $pc) = (abs($up - $corner), abs($left - $corner), abs($left + $up - 2 * $corner));

				$line[$i] += $pa <= $pb && $pa <= $pc ? $left : $pb <= $pc ? $up : $corner;
			}
			$line[$i] &= 255;
		}
		@above = @line;
		my $hex = unpack 'H*', pack 'C*', @line;
		push @lines, [ map { substr $_, 0, 6 } unpack '(a' . 2 * $size . ')*', $hex ];
	}
	return ($w, $h, \@lines);
}

# What a browser shows of a file: (number of colours, { colour => pixels }, lines).
sub look
{
	my ($svg, $w, $h) = @_;
	my $shot   = "$dir/shot.png";
	my $output = '';

	unlink $shot;
	local $ENV{HOME} = $dir;
	IPC::Run::run([ 'chromium', '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
			"--user-data-dir=$dir/browser", '--hide-scrollbars', '--force-device-scale-factor=1',
			"--window-size=$w,$h", "--screenshot=$shot", "file://$svg" ],
		'<', '/dev/null', '>', \$output, '2>&1', IPC::Run::timeout(300)) or diag $output;
	-s $shot or die "no screenshot: $output";

	my (undef, undef, $lines) = read_png($shot);
	my %pixels;
	$pixels{$_}++ for map { @$_ } @$lines;
	return (scalar keys %pixels, \%pixels, $lines);
}

my $rows = canned([
	[ 1, 1, 'ALTER TABLE', 50, 1, '"<b>&amp;\'x"', 'SHARE UPDATE EXCLUSIVE', 100, $no, $no ],
	[ 2, 2, 'ALTER TABLE', 50, 1, '"<b>&amp;\'x"', 'ACCESS EXCLUSIVE',       50,  $no, $no ],
	[ 3, 3, 'ALTER TABLE', 0,  1, 'last',          'SHARE ROW EXCLUSIVE',    0,   $no, $no ] ]);
my ($exit, $out, $err) = run_tapmig($node,
	[ 'rehearse', '--svg', "$dir/locks.svg", '--dir', migrations_dir({ '001_a.sql' => $rows }) ]);
is("$exit|$err", '0|', 'a picture') or BAIL_OUT('no picture');

my $svg = read_file("$dir/locks.svg");
my ($w, $h) = $svg =~ /\A<svg [^>]*width="(\d+)" height="(\d+)"/;
my ($colors, $pixels, $lines) = look("$dir/locks.svg", $w, $h);
cmp_ok($colors, '>', 10, 'a browser shows it, and it is not blank');
cmp_ok($pixels->{ffffff} // 0, '>', $w * $h * 0.8, 'on white');
cmp_ok($pixels->{'0f172a'} // 0, '>', 100, 'with letters');

# The bars of 640 pixels for 100 ms; each colour is also 14 x 14 in the legend.
my %color = (strong => 'b91c1c', weak => '2563eb', short => 'f59e0b');
my %found;
for my $y (0 .. $#$lines)
{
	for my $kind (keys %color)
	{
		my @x = grep { $lines->[$y][$_] eq $color{$kind} } 280 .. 930;
		push @{ $found{$kind} }, [ $y, $x[0], $x[-1] ] if @x;
	}
}
cmp_ok(abs($found{weak}[0][1] - 280), '<=', 1, 'the weak lock from the beginning');
cmp_ok(abs($found{weak}[0][2] - 599), '<=', 1, 'to its middle');
cmp_ok(abs($found{strong}[0][1] - 600), '<=', 1, 'then the strong one');
cmp_ok(abs($found{strong}[0][2] - 919), '<=', 1, 'to the end');
is($found{strong}[0][0], $found{weak}[0][0], 'in one bar');
cmp_ok($found{short}[0][0], '>', $found{strong}[0][0] + 14, 'the other relation is below');
cmp_ok($found{short}[0][2] - $found{short}[0][1], '>=', 1, 'and seen, as short as it is');
is(($svg =~ /(<text[^>]*>ACCESS EXCLUSIVE, 50 ms<)/ ? 1 : 0), 1, 'the lock is named');

# That the checks can fail: nothing drawn, and XML that is broken.
write_file("$dir/blank.svg", $svg =~ s/<g transform.*<\/g>//sr =~ s/<text.*?<\/text>//gsr);
($colors, $pixels) = look("$dir/blank.svg", $w, $h);
is($colors, 1, 'a picture without its bars is blank');
write_file("$dir/broken.svg", $svg =~ s/&lt;b/<b/r);
($colors, $pixels) = look("$dir/broken.svg", $w, $h);
is($pixels->{ $color{strong} } // 0, 0, 'a name that is not escaped breaks it');

done_testing();
