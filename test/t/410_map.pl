# src/README.md is the map of src/: it names every file, and a room includes only
# what the map allows it, always downward.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $src = top_dir() . '/src';

# Rows of the table "room | files | owns | may include".
my (@rooms, %rank, %files, %allowed, %room_of, @untidy);
for my $line (split /\n/, read_file("$src/README.md"))
{
	my ($room, $files, $owns, $allowed) =
	  $line =~ /^\| *(\w+) *\| *((?:`[^`]+` *)+)\| *(.*?) *\| *([\w, ]*)\|$/
	  or next;

	push @rooms, $room;
	$rank{$room}    = @rooms;
	$files{$room}   = [ $files =~ /`([^`]+)`/g ];
	$allowed{$room} = { map { $_ => 1 } grep { length } split /[ ,]+/, $allowed };
	push @untidy, "$room: what does it own?" if $owns eq '';
	for my $file (@{ $files{$room} })
	{
		push @untidy, "$file: in two rooms" if $room_of{$file};
		push @untidy, "$file: not named after its room, $room"
		  unless $file =~ /^\Q$room\E(?:_\w+)?\.[ch]$/;
		$room_of{$file} = $room;
	}
}
cmp_ok(scalar @rooms, '>=', 10, 'the map was found');
is_deeply(\@untidy, [], 'each file is in one room and named after it');

my @there = sort map { m{([^/]+\.[ch])$} } glob("$src/*.c $src/*.h");
is_deeply([ sort keys %room_of ], \@there, 'the map names the files of src/');

my @upward;
for my $room (@rooms)
{
	push @upward, map { "$room: $_" }
	  grep { !$rank{$_} || $rank{$_} <= $rank{$room} } sort keys %{ $allowed{$room} };
}
is_deeply(\@upward, [], 'what a room may include stands below it');

my ($includes, @bad) = (0);
for my $file (@there)
{
	my $room = $room_of{$file} or next;

	for my $header (read_file("$src/$file") =~ /^\s*#\s*include\s+"([^"]+)"/mg)
	{
		my $other = $room_of{$header} or next;    # a header of PostgreSQL's
		$includes++;
		next if $other eq $room;
		push @bad, "$file: $header is not in the row of $room" unless $allowed{$room}{$other};
		push @bad, "$file: $header is internal to $other" if $header =~ /_internal\.h$/;
	}
}
is_deeply(\@bad, [], 'files include what their room may');
cmp_ok($includes, '>=', 30, 'includes were found');

is_deeply([ grep { my $room = $_; !-e "$src/$room.h" && grep { /\.c$/ } @{ $files{$room} } } @rooms ],
	['tapmig'], 'each room but the front door has its header');
is_deeply([ grep { read_file("$src/$_") =~ /PG_VERSION_NUM/ } @there ],
	['compat.h'], 'compat.h alone asks for the version of PostgreSQL');
is_deeply([ grep { read_file("$src/$_") !~ m{\A/\*\n \* \Q$_\E\n \*\t\t\w} } @there ],
	[], 'each file opens with its name and its purpose');
is_deeply([ grep { (() = read_file("$src/$_") =~ /\n/g) > 900 } @there ],
	[], 'no file is longer than 900 lines');

done_testing();
