/*
 * lint_memory.c
 *		Memory that lives as long as a lint: much of it, in small pieces.
 *
 * A large script leaves some small pieces for each statement, and to touch memory
 * for the first time costs more than what is written there. So they lie side by
 * side in blocks, without headers, and are never freed one by one: no pfree(), no
 * repalloc().
 */
#include "postgres.h"

#include <limits.h>

#include "utils/memutils.h"

#include "lint_internal.h"

/*
 * Blocks grow fast, to the size of the server's own largest ones: only what is used
 * of a block is real, and malloc() keeps memory for the next call, instead of giving
 * it back, up to twice the largest block that was ever freed.
 */
#define LINT_FIRST_BLOCK	4096
#define LINT_BLOCK_GROWTH	8
#define LINT_LARGEST_BLOCK	ALLOCSET_DEFAULT_MAXSIZE

/* Begins a block for at least so much; what the one before has left is lost. */
static void
memory_begin_block(Lint *lint, Size size)
{
	Size		block = lint->block_size == 0 ? LINT_FIRST_BLOCK :
		Min(lint->block_size * LINT_BLOCK_GROWTH, LINT_LARGEST_BLOCK);

	lint->block_size = block;
	block = Max(block, size);
	lint->room = MemoryContextAllocHuge(lint->context, block);
	lint->room_end = lint->room + block;
}

/* Zeroed, and aligned for whatever it is. */
void *
lint_alloc(Lint *lint, Size size)
{
	char	   *result;

	size = MAXALIGN(size);
	if ((Size) (lint->room_end - lint->room) < size)
		memory_begin_block(lint, size);
	result = lint->room;
	lint->room += size;
	return memset(result, 0, size);
}

/* For texts: neither zeroed nor aligned. They are taken from the block's other end. */
char *
lint_alloc_text(Lint *lint, Size size)
{
	if ((Size) (lint->room_end - lint->room) < size)
		memory_begin_block(lint, MAXALIGN(size));
	lint->room_end -= size;
	return lint->room_end;
}

char *
lint_strdup(Lint *lint, const char *text)
{
	Size		size = strlen(text) + 1;

	return memcpy(lint_alloc_text(lint, size), text, size);
}

/*
 * A list with room for one more; NIL: a new one. Most have one element. They are
 * not palloc()'s, so that nothing but lint_append() may add to them, and nothing
 * may take away from them.
 */
static List *
memory_list(Lint *lint, List *list, NodeTag type)
{
	ListCell   *cells;

	if (list == NIL)
	{
		list = lint_alloc(lint, offsetof(List, initial_elements) + sizeof(ListCell));
		list->type = type;
		list->max_length = 1;
		list->elements = list->initial_elements;
	}
	else if (list->length == list->max_length)
	{
		if (list->max_length > INT_MAX / 2)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many objects in one script")));
		cells = lint_alloc(lint, (Size) list->max_length * 2 * sizeof(ListCell));
		memcpy(cells, list->elements, list->length * sizeof(ListCell));
		list->elements = cells;
		list->max_length *= 2;
	}
	return list;
}

/* lappend() */
List *
lint_append(Lint *lint, List *list, void *element)
{
	list = memory_list(lint, list, T_List);
	list->elements[list->length++].ptr_value = element;
	return list;
}

/* lappend_int() */
List *
lint_append_int(Lint *lint, List *list, int element)
{
	list = memory_list(lint, list, T_IntList);
	list->elements[list->length++].int_value = element;
	return list;
}
