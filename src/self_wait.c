/*
 * self_wait.c
 *		Ends a worker's wait for itself through another connection.
 *
 * CREATE SUBSCRIPTION has the publisher make a slot, whose walsender waits there
 * for all running transactions to end. Where the publisher is this very cluster
 * one of them is the statement's own. Likewise dblink and postgres_fdw, back to
 * this cluster, want a lock that the step holds. The worker waits on a socket, its
 * peer in the lock manager, and no deadlock detector sees the ring. Or the worker
 * waits for a lock of a peer that is idle in a transaction, which it alone can end.
 *
 * Only the process itself can look at every moment: its caller may be gone. It
 * sits in libpq's wait then, so a timer looks. What the timer does is what a
 * signal handler may do: it reads shared memory that never moves, takes no lock,
 * allocates nothing. Torn reads are possible, so that what it acts on was seen
 * by several looks.
 *
 * A backend is the worker's peer by its application_name, which libpq takes from
 * the environment where a connection names none; or by making the slot that the
 * statement asks for, whose name was free on this cluster before. Everybody may call
 * himself as he likes, and see how others do: until the worker makes a connection
 * nobody can know its name, so that no other session ends what waits for it. The
 * peer waits for us when it, or a transaction that it waits for, wants a lock that
 * this process holds.
 *
 * It is the peer that is cancelled, unless it is idle: it says so to the worker,
 * whose statement fails by that. One that is no peer can so be cancelled by mistake
 * (another cluster makes a slot of that name here at that very time), but nothing
 * of the worker's fails then. And a slot's walsender goes with a statement that
 * fails by itself: left alone, it would go on waiting and keep the slot's name, and
 * could finish a slot that nobody uses, and that keeps the server's WAL for ever.
 */
#include "postgres.h"

#include <signal.h>

#include "commands/defrem.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "held_locks.h"
#include "self_wait.h"

/* Milliseconds between two looks; no multiple of another timer's, which wakes up too. */
#define SELF_WAIT_LOOK_EVERY 310

/* Looks that have to find the same. */
#define SELF_WAIT_LOOKS 4

/* Transactions that a peer waits for, one behind the other. */
#define SELF_WAIT_DEPTH 8

/* Holders of a lock that are looked at. */
#define SELF_WAIT_HOLDERS 1000

/* What the timer's handler reads and writes. */
static struct
{
	char		name[NAMEDATALEN];	/* of the connections that this process makes */
	char		slot[NAMEDATALEN];	/* that the statement makes, empty for none */
	volatile bool making;		/* the statement is under way */
	volatile int seen;			/* the peer that the last look found, or 0 */
	volatile int looks;			/* how many have found it */
	volatile int cancelled;		/* the one for which something was cancelled, or 0 */
	volatile bool idle;			/* and that was this process */
}			watch;

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

/* The walsender that makes the statement's slot here, 0 for none. */
static int
self_wait_maker(void)
{
	if (!watch.making)
		return 0;
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

/* Whether this process has what a process wants that waits for it in that mode. */
static bool
self_wait_is_mine(const LOCKTAG *tag, LOCKMODE wanted)
{
	/* One's own is in no local table. */
	if (tag->locktag_type == LOCKTAG_VIRTUALTRANSACTION)
		return tag->locktag_field1 == (uint32) COMPAT_PROC_VXID_NUMBER(MyProc) &&
			tag->locktag_field2 == COMPAT_PROC_LXID(MyProc);
	for (LOCKMODE mode = 1; mode <= MaxLockMode; mode++)
	{
		if (DoLockModesConflict(mode, wanted) && COMPAT_LOCK_HELD_BY_ME(tag, mode))
			return true;
	}
	return false;
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
		if (self_wait_is_mine(&tag, wanted))
			return true;
		if (tag.locktag_type != LOCKTAG_TRANSACTION)
			return false;
		proc = self_wait_proc(0, (TransactionId) tag.locktag_field1);
	}
	return false;
}

/*
 * A peer that waits for this process, 0 for none. While another one is at work the
 * answer that this process waits for may be that one's.
 */
static int
self_wait_find(void)
{
	const PgBackendStatus *entries = MyBEEntry - COMPAT_MY_STATUS_INDEX;
	int			maker = self_wait_maker();
	int			found = 0;

	if (maker != 0 && self_wait_reaches_me(self_wait_proc(maker, 0)))
		return maker;
	for (int i = 0; i < MaxBackends; i++)
	{
		int			pid = entries[i].st_procpid;

		if (pid == 0 || pid == MyProcPid ||
			strncmp(entries[i].st_appname, watch.name, NAMEDATALEN) != 0)
			continue;
		if (self_wait_reaches_me(self_wait_proc(pid, 0)))
			found = pid;
		else if (entries[i].st_state == STATE_RUNNING)
			return 0;
	}
	return found;
}

/* Whether a process is a peer whose transaction waits for this one's next command. */
static bool
self_wait_is_idle(int pid)
{
	const PgBackendStatus *entries = MyBEEntry - COMPAT_MY_STATUS_INDEX;

	for (int i = 0; i < MaxBackends; i++)
	{
		if (entries[i].st_procpid == pid &&
			strncmp(entries[i].st_appname, watch.name, NAMEDATALEN) == 0)
			return entries[i].st_state == STATE_IDLEINTRANSACTION ||
				entries[i].st_state == STATE_IDLEINTRANSACTION_ABORTED;
	}
	return false;
}

/*
 * A peer that has the lock which this process waits for without an end, and that
 * nobody else can move; 0 for none. The list of the lock's holders is read as
 * retry_note_holders() reads it.
 */
static int
self_wait_find_idle(void)
{
	LOCK	   *lock = MyProc->waitLock;
	CompatLockLink *list;
	CompatLockLink *link;

	if (lock == NULL || LockTimeout > 0)
		return 0;
	if (lock->tag.locktag_type == LOCKTAG_VIRTUALTRANSACTION)
	{
		for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
		{
			const PGPROC *proc = &ProcGlobal->allProcs[i];

			if ((uint32) COMPAT_PROC_VXID_NUMBER(proc) == lock->tag.locktag_field1 &&
				COMPAT_PROC_LXID(proc) == lock->tag.locktag_field2 && proc->pid != 0)
				return self_wait_is_idle(proc->pid) ? proc->pid : 0;
		}
		return 0;
	}
	list = COMPAT_LOCK_LIST(lock);
	link = list->next;
	for (int i = 0; link != NULL && link != list && i < SELF_WAIT_HOLDERS; i++)
	{
		PROCLOCK   *proclock = (PROCLOCK *) ((char *) link - offsetof(PROCLOCK, lockLink));
		int			pid;

		link = link->next;
		if (proclock->tag.myLock != lock)
			return 0;
		pid = proclock->tag.myProc->pid;
		if (pid != MyProcPid && held_locks_conflict(proclock->holdMask, MyProc->waitLockMode) &&
			self_wait_is_idle(pid))
			return pid;
	}
	return 0;
}

/*
 * The timer's handler. While the process is in the wait of libpq's callers, it is
 * in the middle of nothing: its own table of locks can be searched.
 */
static void
self_wait_look(void)
{
	uint32		event = *(volatile uint32 *) my_wait_event_info;
	bool		idle = (event & 0xFF000000) == PG_WAIT_LOCK;
	int			peer;

	if (!idle && event != WAIT_EVENT_LIBPQWALRECEIVER_RECEIVE &&
		(event & 0xFF000000) != PG_WAIT_EXTENSION)
		return;
	if (MyProc == NULL || MyBEEntry == NULL)
		return;
	peer = idle ? self_wait_find_idle() : self_wait_find();
	watch.looks = peer != 0 && peer == watch.seen ? watch.looks + 1 : 1;
	watch.seen = peer;
	if (peer == 0 || watch.looks < SELF_WAIT_LOOKS)
		return;
	watch.cancelled = peer;
	watch.idle = idle;
	if (!idle)
		(void) kill(peer, SIGINT);
	else
	{
		InterruptPending = true;
		QueryCancelPending = true;
		SetLatch(MyLatch);
	}
}

/* Before the transaction is aborted, which lets a walsender go on. */
static void
self_wait_at_exit(int code, Datum arg)
{
	self_wait_fail();
}

/* Begins to look, for the process's life. To be called once, in a worker. */
void
self_wait_start(void)
{
	TimeoutId	timer = RegisterTimeout(USER_TIMEOUT, self_wait_look);
	uint32		secret;

	if (!pg_strong_random(&secret, sizeof(secret)))
		elog(ERROR, "no random number could be made");
	snprintf(watch.name, sizeof(watch.name), SELF_WAIT_NAME "%08x", MyProcPid, secret);
	(void) setenv("PGAPPNAME", watch.name, 1);
	before_shmem_exit(self_wait_at_exit, 0);
	enable_timeout_every(timer,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SELF_WAIT_LOOK_EVERY),
						 SELF_WAIT_LOOK_EVERY);
}

/* A transaction begins: what was cancelled before is not why it fails. */
void
self_wait_reset(void)
{
	watch.cancelled = 0;
	watch.idle = false;
}

/*
 * A CREATE SUBSCRIPTION that has the publisher make its slot is about to run, in
 * a transaction; until self_wait_forget_slot() or self_wait_fail().
 */
void
self_wait_watch_slot(const CreateSubscriptionStmt *stmt)
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
	if (SearchNamedReplicationSlot(slot, true) != NULL)
		return;
	strlcpy(watch.slot, slot, NAMEDATALEN);
	watch.making = true;
}

/* The statement has ended. */
void
self_wait_forget_slot(void)
{
	watch.making = false;
}

/* A statement has failed, its transaction is to be aborted. */
void
self_wait_fail(void)
{
	int			maker = self_wait_maker();

	if (maker != 0)
		(void) kill(maker, SIGINT);
	watch.making = false;
}

/*
 * After an error, before self_wait_fail(): where a statement failed since its peer
 * was cancelled here, says so.
 */
void
self_wait_explain(ErrorData *edata)
{
	int			peer = watch.cancelled;

	/* What a cancelled peer's error comes as; another one speaks for itself. */
	if (peer == 0 ||
		(edata->sqlerrcode != ERRCODE_QUERY_CANCELED &&
		 ERRCODE_TO_CATEGORY(edata->sqlerrcode) != ERRCODE_CONNECTION_EXCEPTION))
		return;
	edata->sqlerrcode = ERRCODE_T_R_DEADLOCK_DETECTED;
	if (watch.making)
	{
		edata->message = psprintf("the subscription waits for its own slot \"%s\": the publisher is this server",
								  watch.slot);
		edata->detail = psprintf("Process %d runs it and waits for walsender %d to make the slot; that waits for the transactions under way, of which this is one.",
								 MyProcPid, peer);
		edata->hint = psprintf("Make the slot in a statement before it: SELECT pg_create_logical_replication_slot(%s, 'pgoutput'), and have the subscription use it: WITH (create_slot = false, slot_name = %s).",
							   quote_literal_cstr(watch.slot), quote_literal_cstr(watch.slot));
		return;
	}
	edata->message = pstrdup("the statement waits for itself, through another connection to this server");
	if (watch.idle)
	{
		edata->detail = psprintf("Process %d runs it and waits for a lock of process %d, its own connection; that is idle in a transaction.",
								 MyProcPid, peer);
		edata->hint = pstrdup("End that connection's transaction in the script before this statement. It was rolled back with this run: where an earlier step did its work, tapmig.abandon begins at step 1 again.");
		return;
	}
	edata->detail = psprintf("Process %d runs it and waits for the answer of process %d, its own connection; that waits for a lock which process %d holds.",
							 MyProcPid, peer, MyProcPid);
	edata->hint = pstrdup("Let the connection do its work before the script takes the lock, or put a COMMIT between the two.");
}
