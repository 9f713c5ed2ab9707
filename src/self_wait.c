/*
 * self_wait.c
 *		Ends a subscription that waits for its own slot.
 *
 * CREATE SUBSCRIPTION has the publisher make a slot, whose walsender waits there
 * for all running transactions to end. Where the publisher is this very cluster
 * one of them is the statement's own: it waits for the walsender on a socket, the
 * walsender for it in the lock manager, and no deadlock detector sees that.
 *
 * Only the process itself can look at every moment: its caller may be gone. It
 * sits in libpq's wait then, so a timer looks. What the timer does is what a
 * signal handler may do: it reads shared memory that never moves, takes no lock,
 * allocates nothing. Torn reads are possible, so that what it acts on was seen
 * by several looks.
 *
 * The walsender is ours when it makes the slot that the statement asks for, whose
 * name was free on this cluster before. It waits for us when it, or a transaction
 * that it waits for, wants a lock that this process holds. Another cluster's
 * subscription of the same name, made here at that very time while ours is waited
 * for elsewhere, would look alike; both can be made again.
 *
 * It is the walsender that is cancelled, not the statement: it drops the slot,
 * tells us, and the statement fails by that. A statement that fails by itself
 * takes its walsender with it for the same reason: left alone, that would finish a
 * slot that nobody uses, and that keeps the server's WAL for ever.
 */
#include "postgres.h"

#include <signal.h>

#include "commands/defrem.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "self_wait.h"

/* Milliseconds between two looks; no multiple of another timer's, which wakes up too. */
#define SELF_WAIT_LOOK_EVERY 310

/* Looks that have to find the same. */
#define SELF_WAIT_LOOKS 4

/* Transactions that a walsender waits for, one behind the other. */
#define SELF_WAIT_DEPTH 8

/* What the timer's handler reads and writes. */
static struct
{
	char		slot[NAMEDATALEN];
	volatile bool active;		/* the statement is under way */
	volatile int seen;			/* the walsender that the last look found, or 0 */
	volatile int looks;			/* how many have found it */
	volatile int cancelled;		/* the one that was cancelled, or 0 */
}			watch;

/* The timer, registered by the first watch of the process. */
static TimeoutId self_wait_timeout = MAX_TIMEOUTS;

static bool
self_wait_is_walsender(int pid)
{
	for (int i = 0; i < max_wal_senders; i++)
	{
		if (WalSndCtl->walsnds[i].pid == pid)
			return true;
	}
	return false;
}

/* The walsender that makes the slot here, 0 for none. */
static int
self_wait_maker(void)
{
	for (int i = 0; i < max_replication_slots; i++)
	{
		const ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];

		if (slot->in_use && strncmp(NameStr(slot->data.name), watch.slot, NAMEDATALEN) == 0)
		{
			int			pid = (int) slot->active_pid;

			return pid != 0 && slot->data.persistency == RS_EPHEMERAL &&
				self_wait_is_walsender(pid) ? pid : 0;
		}
	}
	return 0;
}

static const PGPROC *
self_wait_proc(int pid, TransactionId xid)
{
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		const PGPROC *proc = &ProcGlobal->allProcs[i];

		if (pid != 0 ? proc->pid == pid : proc->xid == xid)
			return proc;
	}
	return NULL;
}

/* Whether a process waits for this one, by itself or behind other transactions. */
static bool
self_wait_reaches_me(const PGPROC *proc)
{
	for (int depth = 0; proc != NULL && depth < SELF_WAIT_DEPTH; depth++)
	{
		const LOCK *lock = *(LOCK *const volatile *) &proc->waitLock;
		LOCKMODE	wanted = proc->waitLockMode;
		LOCKTAG		tag;

		if (lock == NULL || wanted <= NoLock || wanted > MaxLockMode)
			return false;
		tag = lock->tag;
		for (LOCKMODE mode = 1; mode <= MaxLockMode; mode++)
		{
			if (DoLockModesConflict(mode, wanted) && COMPAT_LOCK_HELD_BY_ME(&tag, mode))
				return true;
		}
		if (tag.locktag_type != LOCKTAG_TRANSACTION)
			return false;
		proc = self_wait_proc(0, (TransactionId) tag.locktag_field1);
	}
	return false;
}

/*
 * The timer's handler. While the process is in libpq's wait, it is in the middle
 * of nothing: its own table of locks can be searched.
 */
static void
self_wait_look(void)
{
	int			maker;

	if (*(volatile uint32 *) my_wait_event_info != WAIT_EVENT_LIBPQWALRECEIVER_RECEIVE)
		return;
	maker = self_wait_maker();
	if (maker != 0 && !self_wait_reaches_me(self_wait_proc(maker, 0)))
		maker = 0;
	watch.looks = maker != 0 && maker == watch.seen ? watch.looks + 1 : 1;
	watch.seen = maker;
	if (maker != 0 && watch.looks >= SELF_WAIT_LOOKS)
	{
		watch.cancelled = maker;
		(void) kill(maker, SIGINT);
	}
}

/* The statement has ended. */
void
self_wait_end(void)
{
	if (watch.active)
		disable_timeout(self_wait_timeout, false);
	watch.active = false;
}

/*
 * The statement has failed, its transaction is to be aborted. Does nothing where
 * there was none.
 */
void
self_wait_fail(void)
{
	int			maker = watch.active ? self_wait_maker() : 0;

	if (maker != 0)
		(void) kill(maker, SIGINT);
	self_wait_end();
}

static void
self_wait_at_exit(int code, Datum arg)
{
	self_wait_fail();
}

/*
 * A CREATE SUBSCRIPTION that has the publisher make its slot is about to run, in
 * a transaction. Watches it until self_wait_end() or self_wait_fail().
 */
void
self_wait_begin(const CreateSubscriptionStmt *stmt)
{
	const char *slot = stmt->subname;
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "slot_name") == 0 && option->arg != NULL)
			slot = defGetString(option);
	}

	/* With one of that name here, the statement fails or makes its own elsewhere. */
	watch.cancelled = 0;
	if (SearchNamedReplicationSlot(slot, true) != NULL)
		return;
	if (self_wait_timeout == MAX_TIMEOUTS)
	{
		self_wait_timeout = RegisterTimeout(USER_TIMEOUT, self_wait_look);

		/* Before the transaction is aborted, which lets the walsender go on. */
		before_shmem_exit(self_wait_at_exit, 0);
	}
	strlcpy(watch.slot, slot, NAMEDATALEN);
	watch.seen = 0;
	watch.active = true;
	enable_timeout_every(self_wait_timeout,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SELF_WAIT_LOOK_EVERY),
						 SELF_WAIT_LOOK_EVERY);
}

/*
 * After an error, behind self_wait_fail(): where the statement failed since its
 * walsender was cancelled here, says so.
 */
void
self_wait_explain(ErrorData *edata)
{
	int			walsender = watch.cancelled;

	watch.cancelled = 0;
	if (walsender == 0 ||
		ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		return;
	edata->sqlerrcode = ERRCODE_T_R_DEADLOCK_DETECTED;
	edata->message = psprintf("the subscription waits for its own slot \"%s\": the publisher is this server",
							  watch.slot);
	edata->detail = psprintf("Process %d runs it and waits for walsender %d to make the slot; that waits for the transactions under way, of which this is one.",
							 MyProcPid, walsender);
	edata->hint = psprintf("Make the slot in a statement before it: SELECT pg_create_logical_replication_slot(%s, 'pgoutput'), and have the subscription use it: WITH (create_slot = false, slot_name = %s).",
						   quote_literal_cstr(watch.slot), quote_literal_cstr(watch.slot));
}
