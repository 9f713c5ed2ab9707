#!/usr/bin/perl
# corpus.pl DIR FILE...: cuts scripts into pieces that a fuzzer can work on, of
# some lines up to 1.5 kB, into DIR, each once. What CREATE EXTENSION fills in is
# filled in.

use strict;
use warnings;

use Digest::SHA qw(sha1_hex);

my ($dir, @files) = @ARGV;
my $n = 0;

sub keep
{
	my ($text) = @_;

	return if $text !~ /\S/;
	my $path = "$dir/" . sha1_hex($text);
	return if -e $path;
	open(my $fh, '>:raw', $path) or die "$path: $!";
	print $fh $text;
	close($fh) or die "$path: $!";
	$n++;
}

for my $file (@files)
{
	open(my $fh, '<:raw', $file) or die "$file: $!";
	local $/;
	my $text  = <$fh> =~ s/\@ext(?:schema(?::\w+)?|owner)\@/public/gr;
	my $piece = '';

	# A piece ends behind a line with a semicolon, once it is long enough; only
	# then may a statement be cut.
	for my $line ($text =~ /[^\n]*\n|[^\n]+$/g)
	{
		$piece .= $line;
		if ((length($piece) > 250 && $line =~ /;\s*$|^\\\.\s*$/) || length($piece) > 1500)
		{
			keep($piece);
			$piece = '';
		}
	}
	keep($piece);
}
print "$n pieces of " . @files . " scripts\n";
