/*
 * lint_memory.c
 *		Memory that lives as long as a lint: much of it, in small pieces.
 *
 * A large script leaves some small pieces for each statement, and to touch memory
 * for the first time costs more than what is written there. So they lie side by
 * side in blocks, without headers, and are never freed one by one: no pfree(), no
 * repalloc(). Lists have palloc()'s memory, since they grow.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "lint_internal.h"

#define LINT_FIRST_BLOCK	4096
#define LINT_LARGEST_BLOCK	(1024 * 1024)

/* Begins a block for at least so much; what the one before has left is lost. */
static void
memory_begin_block(Lint *lint, Size size)
{
	Size		block = lint->block_size == 0 ? LINT_FIRST_BLOCK :
		Min(lint->block_size * 2, LINT_LARGEST_BLOCK);

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

List *
lint_append(Lint *lint, List *list, void *element)
{
	MemoryContext old = MemoryContextSwitchTo(lint->context);

	list = lappend(list, element);
	MemoryContextSwitchTo(old);
	return list;
}

List *
lint_append_int(Lint *lint, List *list, int element)
{
	MemoryContext old = MemoryContextSwitchTo(lint->context);

	list = lappend_int(list, element);
	MemoryContextSwitchTo(old);
	return list;
}
