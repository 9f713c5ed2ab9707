/*
 * version.h
 *		Parse and order the versions of migrations; pure, touches no table.
 */
#ifndef TAPMIG_VERSION_H
#define TAPMIG_VERSION_H

/* Longest version argument, name included, in characters. */
#define VERSION_MAX_CHARS 200

/* All strings are palloc'd in the caller's memory context. */
typedef struct Version
{
	char	   *text;			/* "036", "20171008193512", "1.10" */
	char	   *name;			/* "add_index", or NULL */
	char	   *label;			/* "036_add_index", or text where there is no name */
	char	   *key;			/* sorts with strcmp(); equal for equal versions */
} Version;

extern void version_parse(const char *input, Version *result);
extern int	version_compare_keys(const char *a, const char *b);

#endif							/* TAPMIG_VERSION_H */
