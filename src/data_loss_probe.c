/*
 * data_loss_probe.c
 *		Whether a table has a row that would lose something.
 *
 * Reads the table itself, not through the executor: the caller may lack SELECT,
 * and row security must hide nothing. The lock is the statement's own, taken by
 * then. Where nothing else can stop the reading it ends at a limit of time, since
 * most of these locks keep everybody from the table: a table of dead rows may be
 * as large as any other.
 */
#include "postgres.h"

#include <math.h>

#include "access/tableam.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "portability/instr_time.h"
#include "storage/bufmgr.h"
#include "utils/snapmgr.h"

#include "data_loss_internal.h"

/* Milliseconds for all tables of a statement, but each has its first pages read. */
#define DATA_LOSS_LIMIT 1000.0

/* Pages between two looks at the clock. */
#define DATA_LOSS_CHUNK 32

/* Every row of a table that goes. */
bool
data_loss_any_row(TupleTableSlot *slot, void *arg)
{
	return true;
}

/* The rows that have a value in a column; arg: its AttrNumber. */
bool
data_loss_has_value(TupleTableSlot *slot, void *arg)
{
	return !slot_attisnull(slot, *(AttrNumber *) arg);
}

typedef struct DataLossLook
{
	DataLossRow row;
	void	   *arg;
	double		seen;
	double		lost;
} DataLossLook;

/* One row. Returns whether the reading is to end for want of time. */
static void
data_loss_look_row(DataLossLook *look, TupleTableSlot *slot)
{
	CHECK_FOR_INTERRUPTS();
	look->seen++;
	if (look->row(slot, look->arg))
		look->lost++;
}

static double
data_loss_ms_since(instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return INSTR_TIME_GET_MILLISEC(now);
}

/*
 * Rows first .. last - 1 by page, until the limit; the pages are done when it
 * returns true.
 */
static bool
data_loss_look_pages(DataLossLook *look, Relation relation, TupleTableSlot *slot,
					 BlockNumber first, BlockNumber last, instr_time start, double limit)
{
	ItemPointerData from;
	ItemPointerData to;
	TableScanDesc scan;
	bool		done = true;

	ItemPointerSet(&from, first, FirstOffsetNumber);
	ItemPointerSet(&to, last - 1, MaxOffsetNumber);
	scan = table_beginscan_tidrange(relation, SnapshotSelf, &from, &to);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, slot))
	{
		data_loss_look_row(look, slot);

		/* A row's test may be anything that the script has after USING. */
		if (look->lost == 0 && data_loss_ms_since(start) >= limit)
		{
			done = false;
			break;
		}
	}
	ExecClearTuple(slot);
	table_endscan(scan);
	return done;
}

/* The same for a table whose access method knows no pages: up to the first row. */
static void
data_loss_look_plainly(DataLossLook *look, Relation relation, TupleTableSlot *slot,
					   DataLossProbe *probe)
{
	TableScanDesc scan = table_beginscan(relation, SnapshotSelf, 0, NULL);

	while (look->lost == 0 && table_scan_getnextslot(scan, ForwardScanDirection, slot))
		data_loss_look_row(look, slot);
	ExecClearTuple(slot);
	table_endscan(scan);
}

/*
 * Looks for rows that lose something: *probe says whether there are any, and how
 * many. The caller holds a lock on the relation that keeps it. values: not all
 * rows need lose something. Errors: those of the test of a row, and interrupts.
 */
void
data_loss_look(DataLoss *loss, Relation relation, bool values, DataLossRow row,
			   void *arg, DataLossProbe *probe)
{
	DataLossLook look = {row, arg, 0, 0};
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	instr_time	start;
	double		limit = DATA_LOSS_LIMIT - loss->spent_ms;
	bool		all = true;

	INSTR_TIME_SET_CURRENT(start);
	if (relation->rd_tableam->scan_set_tidrange == NULL)
	{
		data_loss_look_plainly(&look, relation, slot, probe);
		all = look.lost == 0;
	}
	else
	{
		probe->of_pages = RelationGetNumberOfBlocks(relation);
		while (probe->pages < probe->of_pages && look.lost == 0)
		{
			BlockNumber last = probe->pages +
				Min(DATA_LOSS_CHUNK, probe->of_pages - probe->pages);

			if (probe->pages > 0 && data_loss_ms_since(start) >= limit)
				break;
			all = data_loss_look_pages(&look, relation, slot, probe->pages, last,
									   start, Max(limit, DATA_LOSS_LIMIT / 10));
			if (!all)
				break;
			probe->pages = last;
		}
		all = all && probe->pages == probe->of_pages;
	}
	ExecDropSingleTupleTableSlot(slot);
	loss->spent_ms += data_loss_ms_since(start);

	probe->gave_up = look.lost == 0 && !all;
	probe->lost = look.lost > 0 || probe->gave_up;
	probe->exact = all;
	probe->rows = look.lost;
	if (look.lost > 0 && !all)
	{
		BlockNumber pages;
		double		rows;
		double		visible;

		estimate_rel_size(relation, NULL, &pages, &rows, &visible);
		if (values)
			rows *= look.lost / look.seen;
		probe->rows = Max(look.lost, rint(rows));
	}
}
