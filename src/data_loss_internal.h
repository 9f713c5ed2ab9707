/*
 * data_loss_internal.h
 *		Shared by the files of the room data_loss; nobody else includes it.
 */
#ifndef TAPMIG_DATA_LOSS_INTERNAL_H
#define TAPMIG_DATA_LOSS_INTERNAL_H

#include "executor/tuptable.h"
#include "nodes/parsenodes.h"
#include "storage/block.h"
#include "utils/hsearch.h"
#include "utils/rel.h"

#include "data_loss.h"

/* How a statement takes values away. */
typedef enum DataLossKind
{
	DATA_LOSS_DROP,				/* DROP of a table or a column */
	DATA_LOSS_TRUNCATE,
	DATA_LOSS_DELETE,			/* DELETE without WHERE */
	DATA_LOSS_MERGE,			/* MERGE that deletes every row */
	DATA_LOSS_TYPE				/* ALTER COLUMN ... TYPE */
} DataLossKind;

/* What looking at a table's rows has shown. */
typedef struct DataLossProbe
{
	bool		lost;			/* a row was found that loses something */
	bool		gave_up;		/* none was, up to the limit: counts as lost */
	bool		exact;			/* rows is no estimate */
	double		rows;			/* that lose something */
	BlockNumber pages;			/* looked at */
	BlockNumber of_pages;
} DataLossProbe;

/* Whether a row loses something. */
typedef bool (*DataLossRow) (TupleTableSlot *slot, void *arg);

/* A relation's name. */
typedef struct DataLossName
{
	Oid			relation;
	char	   *schema;
	char	   *table;
} DataLossName;

/* A table or a column that a statement takes away, changes or empties. */
typedef struct DataLossObject
{
	DataLossKind kind;
	DataLossName name;
	char	   *column;			/* NULL: the whole table */
	char	   *shown;			/* as messages name it, and as "loses" would */
	char	   *export;			/* psql's line that saves it */
	char	   *becomes;		/* DATA_LOSS_TYPE: the new type */
	List	   *ancestors;		/* DataLossName: what it inherits from, partitions too */
	DataLossProbe probe;
} DataLossObject;

/* A directive's item, and what it has covered so far. */
typedef struct DataLossListed
{
	const ScriptName *name;
	bool		lost;
	char	   *schema;			/* that a name without one stands for; NULL: not known yet */
} DataLossListed;

struct DataLoss
{
	MemoryContext context;		/* of the try, and of its end */
	MemoryContext statement;	/* of what `pending` holds; reset with it */
	const char *label;			/* the migration's, for messages */
	SettingsPolicy policy;
	List	   *listed;			/* DataLossListed */
	HTAB	   *created;		/* tables and columns that the script has made */
	List	   *pending;		/* DataLossObject: of the statement under way */
	int			depth;			/* of utility statements under way */
	int			waiting;		/* of these: have noted something that is not yet said */
	double		spent_ms;		/* looking at rows, for the statement under way */
	List	   *said;			/* C strings: what earlier tries have warned of */
	List	   *said_now;
};

/* data_loss.c */
extern bool data_loss_is_watched(const DataLoss *loss, Relation relation, AttrNumber column);
extern DataLossObject *data_loss_touch(DataLoss *loss, DataLossKind kind,
									   Relation relation, AttrNumber column);

/* data_loss_probe.c */
extern void data_loss_look(DataLoss *loss, Relation relation, bool values,
						   DataLossRow row, void *arg, DataLossProbe *probe);
extern bool data_loss_any_row(TupleTableSlot *slot, void *arg);
extern bool data_loss_has_value(TupleTableSlot *slot, void *arg);

/* data_loss_report.c */
extern void data_loss_name(Relation relation, AttrNumber column, DataLossObject *object);
extern void data_loss_report(DataLoss *loss);

/* data_loss_type.c */
extern void data_loss_before_alter(DataLoss *loss, AlterTableStmt *statement,
								   const char *text);

#endif							/* TAPMIG_DATA_LOSS_INTERNAL_H */
