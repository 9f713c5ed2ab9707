# Python with psycopg2. It puts values into the text of a statement itself and
# uses the simple protocol; PREPARE gives it parameters of the server's. Unless
# told otherwise it begins a transaction before the first statement.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

# Prints a line "name <tab> value" for each thing that it saw.
my $program = <<'PYTHON';
import psycopg2

def say(name, value):
    print("%s\t%s" % (name, str(value).replace("\n", " ").rstrip()))

def attempt(name, cursor, statement, values):
    try:
        cursor.execute(statement, values)
        say(name, "no error")
    except psycopg2.Error as error:
        say(name, error.pgcode)
        say(name + ", message", error.diag.message_primary)
        say(name + ", detail", error.diag.message_detail)
        say(name + ", hint", error.diag.message_hint)
        say(name + ", context", error.diag.context)

APPLY = "SELECT tapmig.apply(%s, %s, %s)"
RUN = "CALL tapmig.run(%s, %s, %s)"
FIRST = """CREATE TABLE first (t text);
INSERT INTO first VALUES ('100 %s, 100 %%, it''s \\ $1 :x ?'), (E'a\\tb'), ('Größe \u2713');
COPY first FROM stdin;
from\\tcopy
\\.
"""
SECOND = "CREATE TABLE second ();\n"

connection = psycopg2.connect("")
connection.autocommit = True
cursor = connection.cursor()

for name in "apply", "apply again":
    cursor.execute(APPLY, ("001_first", FIRST, "client.py"))
    say(name, cursor.fetchone()[0])
cursor.execute("SELECT string_agg(t, '|' ORDER BY t COLLATE \"C\") FROM first")
say("rows", cursor.fetchone()[0])
cursor.execute("SELECT source FROM tapmig.schema_migrations WHERE version = '001'")
say("source", cursor.fetchone()[0])

for name in "run", "run again":
    cursor.execute(RUN, ("002_second", SECOND, None))
    say(name, cursor.fetchone()[0])

attempt("changed", cursor, RUN, ("001_first", "CREATE TABLE other ();\n", None))
attempt("broken", cursor, RUN, ("003_broken", "CREATE TABLE made ();\nSELECT 1/0;\n", None))
cursor.execute("SELECT to_regclass('made') IS NULL, count(*) FROM tapmig.attempts WHERE version = '003'")
say("broken left", cursor.fetchone())

# Layout and comments only: a NOTICE
del connection.notices[:]
cursor.execute(RUN, ("002_second", "-- a comment\nCREATE TABLE second();", None))
say("layout", cursor.fetchone()[0])
say("layout, notice", "".join(connection.notices))

# Parameters of the server's
cursor.execute("PREPARE apply (text, text) AS SELECT tapmig.apply($1, $2)")
for name in "prepared", "prepared again":
    cursor.execute("EXECUTE apply (%s, %s)", ("004_prepared", "CREATE TABLE prepared ();"))
    say(name, cursor.fetchone()[0])

# psycopg2's own way: a transaction around everything
connection.close()
connection = psycopg2.connect("")
cursor = connection.cursor()
cursor.execute(RUN, ("005_within", "CREATE TABLE within ();", None))
say("run within a transaction", cursor.fetchone()[0])
cursor.execute("SELECT tapmig.is_applied('005')")
say("seen within it", cursor.fetchone()[0])
connection.rollback()
cursor.execute("SELECT to_regclass('within') IS NULL AND NOT tapmig.is_applied('005')")
say("gone with its rollback", cursor.fetchone()[0])
connection.rollback()
cursor.execute(RUN, ("005_within", "CREATE TABLE within ();", None))
connection.commit()
cursor.execute("SELECT to_regclass('within') IS NOT NULL AND tapmig.is_applied('005')")
say("there with its commit", cursor.fetchone()[0])
attempt("stepwise within", cursor, RUN,
        ("006_index", "CREATE INDEX CONCURRENTLY i ON first (t);", None))
connection.rollback()

# 20 MB in one parameter
connection.autocommit = True
big = "CREATE TABLE big (t text);\n" + "INSERT INTO big VALUES ('%s');\n" % ("x" * 1000) * 20000
cursor.execute(RUN, ("007_big", big, None))
say("big", cursor.fetchone()[0])
cursor.execute("SELECT count(*) FROM big")
say("big rows", cursor.fetchone()[0])
PYTHON

my $out = '';
my $err = '';
{
	local %ENV = ($node->_get_env(PGDATABASE => 'postgres'), PYTHONIOENCODING => 'utf8');
	IPC::Run::run([ 'python3', '-' ], '<', \$program, '>', \$out, '2>', \$err);
}
is($err, '', 'the program ran to its end');

my %saw = map { split /\t/, $_, 2 } split /\n/, $out;
my %expected = (
	'apply'                    => 'applied',
	'apply again'              => 'skipped',
	'rows'                     => q{100 %s, 100 %%, it's \ $1 :x ?|Größe ✓|a	b|from	copy},
	'source'                   => 'client.py',
	'run'                      => 'applied',
	'run again'                => 'skipped',
	'changed'                  => 'TM001',
	'changed, message'         => 'migration 001_first was applied with other content',
	'broken'                   => '22012',
	'broken, message'          => 'division by zero',
	'broken left'              => '(True, 1)',
	'layout'                   => 'skipped',
	'prepared'                 => 'applied',
	'prepared again'           => 'skipped',
	'run within a transaction' => 'applied',
	'seen within it'           => 'True',
	'gone with its rollback'   => 'True',
	'there with its commit'    => 'True',
	'stepwise within'          => 'TM003',
	'big'                      => 'applied',
	'big rows'                 => '20000');
is($saw{$_}, $expected{$_}, "psycopg2: $_") for sort keys %expected;
like($saw{'changed, detail'}, qr/^It was applied at .* from client\.py\..* line 1: CREATE TABLE other/,
	'psycopg2: the detail says when and what');
like($saw{'changed, hint'},   qr/tapmig\.accept\('001'/,           'psycopg2: the hint names accept');
like($saw{'broken, context'}, qr/003_broken, statement 2 of 2, line 2/, 'psycopg2: the script\'s line');
like($saw{'layout, notice'},  qr/layout or comments only/,         'psycopg2: notices arrive');

done_testing();
