/*
 * compat.h
 *		What differs between PostgreSQL 15, 16, 17 and 18; the only file that
 *		tests PG_VERSION_NUM.
 */
#ifndef TAPMIG_COMPAT_H
#define TAPMIG_COMPAT_H

/* VARDATA_ANY() and its kin moved there from postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * The first tokens of the core scanner. gram.h is not installed, but
 * parser/scanner.h promises that these are numbered alike in every parser.
 */
#define COMPAT_TOKEN_IDENT	258
#define COMPAT_TOKEN_UIDENT	259
#define COMPAT_TOKEN_FCONST	260
#define COMPAT_TOKEN_SCONST	261
#define COMPAT_TOKEN_USCONST	262
#define COMPAT_TOKEN_BCONST	263
#define COMPAT_TOKEN_XCONST	264
#define COMPAT_TOKEN_OP		265
#define COMPAT_TOKEN_ICONST	266
#define COMPAT_TOKEN_PARAM	267

/* The process that a virtual transaction id names, NULL when it has ended. */
#if PG_VERSION_NUM >= 170000
#define COMPAT_VXID_GET_PROC(vxid)	ProcNumberGetProc((vxid).procNumber)
#define COMPAT_PROC_LXID(proc)		((proc)->vxid.lxid)
#define COMPAT_PROC_VXID_NUMBER(proc)	((proc)->vxid.procNumber)
#else
#define COMPAT_VXID_GET_PROC(vxid)	BackendIdGetProc((vxid).backendId)
#define COMPAT_PROC_LXID(proc)		((proc)->lxid)
#define COMPAT_PROC_VXID_NUMBER(proc)	((proc)->backendId)
#endif

/* The list of those who hold a lock or wait for it, through PROCLOCK.lockLink. */
#if PG_VERSION_NUM >= 160000
#define CompatLockLink				dlist_node
#define COMPAT_LOCK_LIST(lock)		(&(lock)->procLocks.head)
#else
#define CompatLockLink				SHM_QUEUE
#define COMPAT_LOCK_LIST(lock)		(&(lock)->procLocks)
#endif

/* Whether two entries of the lock table are of one transaction. */
#if PG_VERSION_NUM >= 170000
#define COMPAT_LOCK_SAME_TRANSACTION(a, b) \
	VirtualTransactionIdEquals((a)->vxid, (b)->vxid)
#else
#define COMPAT_LOCK_SAME_TRANSACTION(a, b) \
	((a)->backend == (b)->backend && (a)->lxid == (b)->lxid)
#endif

/* Whether this process holds a lock, in that mode. */
#if PG_VERSION_NUM >= 170000
#define COMPAT_LOCK_HELD_BY_ME(tag, mode)	LockHeldByMe(tag, mode, false)
#else
#define COMPAT_LOCK_HELD_BY_ME(tag, mode)	LockHeldByMe(tag, mode)
#endif

/* Where this backend's status entry, MyBEEntry, stands among all of them. */
#if PG_VERSION_NUM >= 170000
#define COMPAT_MY_STATUS_INDEX	MyProcNumber
#else
#define COMPAT_MY_STATUS_INDEX	(MyBackendId - 1)
#endif

/* The local copy of the backends' status entries, by a 1-based index. */
#if PG_VERSION_NUM >= 160000
#define COMPAT_BEENTRY_BY_INDEX(i)	pgstat_get_local_beentry_by_index(i)
#else
#define COMPAT_BEENTRY_BY_INDEX(i)	pgstat_fetch_stat_local_beentry(i)
#endif

/* Where a range table entry's required permissions stand, and in a plan. */
#if PG_VERSION_NUM >= 160000
#define CompatPermissions			RTEPermissionInfo
#define COMPAT_NSITEM_PERMISSIONS(nsitem)	((nsitem)->p_perminfo)
#define COMPAT_PLAN_PERMISSIONS(plan, permissions) \
	((plan)->permInfos = list_make1(permissions))
#else
#define CompatPermissions			RangeTblEntry
#define COMPAT_NSITEM_PERMISSIONS(nsitem)	((nsitem)->p_rte)
#define COMPAT_PLAN_PERMISSIONS(plan, permissions)	((void) (permissions))
#endif

/* The arguments of ExecutorCheckPerms_hook; needs parser/parse_relation.h. */
#if PG_VERSION_NUM >= 160000
#define COMPAT_CHECK_PERMISSIONS_ARGUMENTS \
	List *range_table, List *permission_infos, bool raise
#define COMPAT_PASS_CHECK_PERMISSIONS	range_table, permission_infos, raise
#define COMPAT_REQUIRED_PERMISSIONS(rte) \
	((rte)->perminfoindex == 0 ? 0 : \
	 getRTEPermissionInfo(permission_infos, rte)->requiredPerms)
#else
#define COMPAT_CHECK_PERMISSIONS_ARGUMENTS	List *range_table, bool raise
#define COMPAT_PASS_CHECK_PERMISSIONS	range_table, raise
#define COMPAT_REQUIRED_PERMISSIONS(rte)	((rte)->requiredPerms)
#endif

/* PortalRun() lost its argument run_once. */
#if PG_VERSION_NUM >= 180000
#define compat_portal_run(portal, count, top_level, dest, altdest, completion) \
	PortalRun(portal, count, top_level, dest, altdest, completion)
#else
#define compat_portal_run(portal, count, top_level, dest, altdest, completion) \
	PortalRun(portal, count, top_level, true, dest, altdest, completion)
#endif

/* The path of the first file of a relation that is not temporary; needs common/relpath.h. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_FILE_PATH(tablespace, database, number) \
	(GetRelationPath(database, tablespace, number, INVALID_PROC_NUMBER, MAIN_FORKNUM).str)
#elif PG_VERSION_NUM >= 170000
#define COMPAT_FILE_PATH(tablespace, database, number) \
	GetRelationPath(database, tablespace, number, INVALID_PROC_NUMBER, MAIN_FORKNUM)
#else
#define COMPAT_FILE_PATH(tablespace, database, number) \
	GetRelationPath(database, tablespace, number, InvalidBackendId, MAIN_FORKNUM)
#endif

/* Stands before the declaration of a function that doesn't return. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_NORETURN				pg_noreturn
#else
#define COMPAT_NORETURN				pg_attribute_noreturn()
#endif

/* All settings, *n of them; needs utils/guc_tables.h. */
#if PG_VERSION_NUM >= 160000
#define compat_guc_variables(n)	get_guc_variables(n)
#else
#define compat_guc_variables(n)	(*(n) = GetNumConfigOptions(), get_guc_variables())
#endif

/* Whether a role owns a relation or may act as its owner. */
#if PG_VERSION_NUM >= 160000
#define COMPAT_OWNS_RELATION(relation, role) \
	object_ownercheck(RelationRelationId, relation, role)
#else
#define COMPAT_OWNS_RELATION(relation, role)	pg_class_ownercheck(relation, role)
#endif

/* The fast-path slots of a process; their modes, three bits a slot, need a mask. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_FAST_PATH_SLOTS		FastPathLockSlotsPerBackend()
#define COMPAT_FAST_PATH_BITS(proc, slot) \
	((LOCKMASK) ((proc)->fpLockBits[(slot) / FP_LOCK_SLOTS_PER_GROUP] >> \
				 (3 * ((slot) % FP_LOCK_SLOTS_PER_GROUP))))
#else
#define COMPAT_FAST_PATH_SLOTS		FP_LOCK_SLOTS_PER_BACKEND
#define COMPAT_FAST_PATH_BITS(proc, slot) \
	((LOCKMASK) ((proc)->fpLockBits >> (3 * (slot))))
#endif

/* A relation's scans and the rows that they read, by its pending counters. */
#if PG_VERSION_NUM >= 160000
#define COMPAT_NUMSCANS(status)		((status)->counts.numscans)
#define COMPAT_TUPLES_RETURNED(status)	((status)->counts.tuples_returned)
#else
#define COMPAT_NUMSCANS(status)		((status)->t_counts.t_numscans)
#define COMPAT_TUPLES_RETURNED(status)	((status)->t_counts.t_tuples_returned)
#endif

/* The locks of one partition that a process holds; needs storage/lock.h. */
#if PG_VERSION_NUM >= 160000
#define COMPAT_FOREACH_PROCLOCK(proclock, list) \
	for (dlist_node *node_ = (list)->head.next ? (list)->head.next : &(list)->head; \
		 node_ != &(list)->head && \
		 ((proclock) = dlist_container(PROCLOCK, procLink, node_), true); \
		 node_ = node_->next)
#define COMPAT_FOREACH_PROCLOCK_REVERSE(proclock, list) \
	for (dlist_node *node_ = (list)->head.next ? (list)->head.prev : &(list)->head; \
		 node_ != &(list)->head && \
		 ((proclock) = dlist_container(PROCLOCK, procLink, node_), true); \
		 node_ = node_->prev)
#define COMPAT_NO_PROCLOCKS(list)	dlist_is_empty(list)
#else
#define COMPAT_FOREACH_PROCLOCK(proclock, list) \
	for ((proclock) = (PROCLOCK *) SHMQueueNext(list, list, offsetof(PROCLOCK, procLink)); \
		 (proclock) != NULL; \
		 (proclock) = (PROCLOCK *) SHMQueueNext(list, &(proclock)->procLink, \
												offsetof(PROCLOCK, procLink)))
#define COMPAT_FOREACH_PROCLOCK_REVERSE(proclock, list) \
	for ((proclock) = (PROCLOCK *) SHMQueuePrev(list, list, offsetof(PROCLOCK, procLink)); \
		 (proclock) != NULL; \
		 (proclock) = (PROCLOCK *) SHMQueuePrev(list, &(proclock)->procLink, \
												offsetof(PROCLOCK, procLink)))
#define COMPAT_NO_PROCLOCKS(list)	SHMQueueEmpty(list)
#endif

/* Whether a role may look up names in a schema. */
#if PG_VERSION_NUM >= 160000
#define COMPAT_SCHEMA_IS_USABLE(schema, role) \
	(object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK)
#else
#define COMPAT_SCHEMA_IS_USABLE(schema, role) \
	(pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK)
#endif

/* A constraint that is kept but never checked: CHECK and FOREIGN KEY from 18 on. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_HAS_NOT_ENFORCED			true
#define COMPAT_IS_ENFORCED(constraint)	((constraint)->is_enforced)
#define COMPAT_FORM_ENFORCED(form)		((form)->conenforced)
#else
#define COMPAT_HAS_NOT_ENFORCED			false
#define COMPAT_IS_ENFORCED(constraint)	true
#define COMPAT_FORM_ENFORCED(form)		true
#endif

/* ALTER CONSTRAINT: whether it says ENFORCED or NOT ENFORCED, of which, and which. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_ALTERS_ENFORCED(def)		castNode(ATAlterConstraint, def)->alterEnforceability
#define COMPAT_ALTERED_NAME(def)		castNode(ATAlterConstraint, def)->conname
#define COMPAT_ALTERED_ENFORCED(def)	castNode(ATAlterConstraint, def)->is_enforced
#else
#define COMPAT_ALTERS_ENFORCED(def)		false
#define COMPAT_ALTERED_NAME(def)		castNode(Constraint, def)->conname
#define COMPAT_ALTERED_ENFORCED(def)	true
#endif

/* Generated columns are stored, and from 18 on may be virtual instead. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_GENERATED_KIND(constraint)	((constraint)->generated_kind)
#define COMPAT_GENERATED_VIRTUAL			ATTRIBUTE_GENERATED_VIRTUAL
#else
#define COMPAT_GENERATED_KIND(constraint)	ATTRIBUTE_GENERATED_STORED
#define COMPAT_GENERATED_VIRTUAL			'v'
#endif

/* ALTER COLUMN ... SET EXPRESSION came with 17. */
#if PG_VERSION_NUM >= 170000
#define COMPAT_AT_SET_EXPRESSION	AT_SetExpression
#else
#define COMPAT_AT_SET_EXPRESSION	(-2)
#endif

/* A partitioned table may have a NOT VALID foreign key from 18 on. */
#define COMPAT_PARTITIONED_NOT_VALID_KEYS	(PG_VERSION_NUM >= 180000)

/* NOT NULL is a constraint of its own, which may be NOT VALID, from 18 on. */
#define COMPAT_NOT_NULL_IS_CONSTRAINT	(PG_VERSION_NUM >= 180000)
#define COMPAT_CONSTRAINT_NOTNULL		'n'

/* An index scan, to be instrumented from 18 on. */
#if PG_VERSION_NUM >= 180000
#define compat_index_beginscan(table, index, snapshot, n_keys) \
	index_beginscan(table, index, snapshot, NULL, n_keys, 0)
#else
#define compat_index_beginscan(table, index, snapshot, n_keys) \
	index_beginscan(table, index, snapshot, n_keys, 0)
#endif

/* Whether an action of MERGE is one for matched rows, or for those of the target that are not. */
#if PG_VERSION_NUM >= 170000
#define COMPAT_IS_MATCHED(action)	((action)->matchKind == MERGE_WHEN_MATCHED)
#define COMPAT_IS_NOT_MATCHED_BY_SOURCE(action) \
	((action)->matchKind == MERGE_WHEN_NOT_MATCHED_BY_SOURCE)
#else
#define COMPAT_IS_MATCHED(action)	((action)->matched)
#define COMPAT_IS_NOT_MATCHED_BY_SOURCE(action)	false
#endif

/*
 * libpq/libpq.h needs the headers of every library that the server was built
 * with; this is its PQcommMethods, alike from 14 on.
 */
typedef struct CompatCommMethods
{
	void		(*comm_reset) (void);
	int			(*flush) (void);
	int			(*flush_if_writable) (void);
	bool		(*is_send_pending) (void);
	int			(*putmessage) (char msgtype, const char *s, size_t len);
	void		(*putmessage_noblock) (char msgtype, const char *s, size_t len);
} CompatCommMethods;

extern PGDLLIMPORT const CompatCommMethods *PqCommMethods;

#endif							/* TAPMIG_COMPAT_H */
