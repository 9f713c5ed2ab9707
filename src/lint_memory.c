/*
 * lint_memory.c
 *		Memory of a lint, much of it, in small pieces: of the state, which lives to
 *		the end of the script, and of the findings, which live longer.
 *
 * A large script leaves some small pieces for each statement, and to touch memory
 * for the first time costs more than what is written there. So they lie side by
 * side in blocks, without headers, and are never freed one by one: no pfree(), no
 * repalloc(). Lists are palloc()'s.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "utils/memutils.h"

#include "lint_internal.h"

/*
 * Blocks grow fast, to the size of the server's own largest ones: only what is used
 * of a block is real. Those in the caller's memory are chunks of its own blocks.
 */
#define LINT_FIRST_BLOCK	4096
#define LINT_BLOCK_GROWTH	8
#define LINT_LARGEST_BLOCK	ALLOCSET_DEFAULT_MAXSIZE
#define LINT_LARGEST_CHUNK	65536

/* Where pieces are taken from; in_blocks: the context has large ones itself. */
void
lint_room_begin(LintRoom *room, MemoryContext context, bool in_blocks)
{
	room->context = context;
	room->largest = in_blocks ? LINT_LARGEST_CHUNK : LINT_LARGEST_BLOCK;
}

/* Begins a block for at least so much; what the one before has left is lost. */
static void
memory_begin_block(LintRoom *room, Size size)
{
	Size		block = room->block == 0 ? LINT_FIRST_BLOCK :
		Min(room->block * LINT_BLOCK_GROWTH, room->largest);

	room->block = block;
	block = Max(block, size);
	room->start = MemoryContextAllocHuge(room->context, block);
	room->end = room->start + block;
}

/* Zeroed, and aligned for whatever it is. */
static void *
memory_take(LintRoom *room, Size size)
{
	char	   *result;

	size = MAXALIGN(size);
	if ((Size) (room->end - room->start) < size)
		memory_begin_block(room, size);
	result = room->start;
	room->start += size;
	return memset(result, 0, size);
}

/* A text, which need not be aligned: it is taken from the block's other end. */
static char *
memory_take_text(LintRoom *room, const char *text)
{
	Size		size = strlen(text) + 1;

	if ((Size) (room->end - room->start) < size)
		memory_begin_block(room, MAXALIGN(size));
	room->end -= size;
	return memcpy(room->end, text, size);
}

/* Memory of the state: it goes when the last statement has been looked at. */
void *
lint_alloc(Lint *lint, Size size)
{
	return memory_take(&lint->state, size);
}

char *
lint_strdup(Lint *lint, const char *text)
{
	return memory_take_text(&lint->state, text);
}

/* Two texts as one, in the current context: a format costs more than most rules do. */
char *
lint_concat(const char *a, const char *b)
{
	Size		length = strlen(a);
	Size		size = strlen(b) + 1;
	char	   *result = palloc(length + size);

	memcpy(result, a, length);
	memcpy(result + length, b, size);
	return result;
}

/* String nodes as one text, in the current context or the only one's own; NIL: NULL. */
const char *
lint_join(List *names, const char *between)
{
	StringInfoData buf;
	ListCell   *lc;

	if (list_length(names) <= 1)
		return names == NIL ? NULL : strVal(linitial(names));
	initStringInfo(&buf);
	foreach(lc, names)
	{
		if (buf.len > 0)
			appendStringInfoString(&buf, between);
		appendStringInfoString(&buf, strVal(lfirst(lc)));
	}
	return buf.data;
}

/* makeObjectName(); columns may be NULL. The name is there until the next one is made. */
const char *
lint_object_name(Lint *lint, const char *relation, const char *columns, const char *label)
{
	Size		lengths[] = {strlen(relation), columns == NULL ? 0 : strlen(columns) + 1, strlen(label) + 1};
	char	   *result = lint->object_name;

	if (lengths[0] + lengths[1] + lengths[2] >= NAMEDATALEN)
		return makeObjectName(relation, columns, label);
	memcpy(result, relation, lengths[0]);
	if (columns != NULL)
	{
		result[lengths[0]] = '_';
		memcpy(result + lengths[0] + 1, columns, lengths[1] - 1);
	}
	result[lengths[0] + lengths[1]] = '_';
	memcpy(result + lengths[0] + lengths[1] + 1, label, lengths[2]);
	return result;
}

/* Memory of the findings. */
void *
lint_keep(Lint *lint, Size size)
{
	return memory_take(&lint->kept, size);
}

char *
lint_keep_text(Lint *lint, const char *text)
{
	return memory_take_text(&lint->kept, text);
}

/* A list as any other, but with room for one, which most of lint's have; then for four. */
static List *
memory_list(Lint *lint, List *list, NodeTag type)
{
	ListCell   *cells;

	if (list == NIL)
	{
		list = MemoryContextAlloc(lint->context, offsetof(List, initial_elements) + sizeof(ListCell));
		list->type = type;
		list->length = 0;
		list->max_length = 1;
		list->elements = list->initial_elements;
	}
	else if (list->length == 1 && list->max_length == 1)
	{
		cells = MemoryContextAlloc(lint->context, 4 * sizeof(ListCell));
		cells[0] = list->elements[0];
		list->elements = cells;
		list->max_length = 4;
	}
	return list;
}

/* lappend(); the list lives as long as the state. */
List *
lint_append(Lint *lint, List *list, void *element)
{
	list = memory_list(lint, list, T_List);
	if (list->length == list->max_length)
		return lappend(list, element);
	list->elements[list->length++].ptr_value = element;
	return list;
}

/*
 * lappend_int() for numbers of columns. Lists of one are shared, so that nothing else
 * may change what it returns.
 */
List *
lint_append_number(Lint *lint, List *list, int number)
{
	List	  **alone = number >= 0 && number < LINT_ALONE ? &lint->alone[number] : NULL;

	if (list == NIL && alone != NULL)
	{
		if (*alone == NULL)
		{
			*alone = memory_list(lint, NIL, T_IntList);
			(*alone)->elements[(*alone)->length++].int_value = number;
		}
		return *alone;
	}
	if (list != NIL && list->length == 1)
	{
		int			first = list->elements[0].int_value;

		list = memory_list(lint, NIL, T_IntList);
		list->elements[list->length++].int_value = first;
	}
	list = memory_list(lint, list, T_IntList);
	if (list->length == list->max_length)
		return lappend_int(list, number);
	list->elements[list->length++].int_value = number;
	return list;
}
