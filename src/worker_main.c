/*
 * worker_main.c
 *		The worker's side: becomes the caller's session, runs the script, ends.
 *
 * Connects as the authenticated user, loads the caller's libraries and takes
 * its settings, as a parallel worker does; session user and role follow from
 * those. It depends on the caller for nothing after that: when the caller is
 * gone, or doesn't read, messages are dropped and the script goes on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "session_settings.h"
#include "stepwise.h"
#include "worker_main.h"
#include "worker_protocol.h"

/* Where messages go; NULL once nobody is to get them. Lives with the process. */
static shm_mq_handle *worker_queue = NULL;
static bool worker_sending = false;

static void
worker_comm_reset(void)
{
}

static int
worker_flush(void)
{
	return 0;
}

static bool
worker_is_send_pending(void)
{
	return false;
}

static void
worker_drop_queue(void)
{
	if (worker_queue != NULL)
		shm_mq_detach(worker_queue);
	worker_queue = NULL;
}

/*
 * Sends one message of the protocol. A message that was begun has to be
 * completed, so one that cannot be sent takes the queue with it: when the
 * caller is gone, when it has not read for WORKER_QUEUE_PATIENCE, or when an
 * interrupt came in the middle and has something to say itself.
 */
static int
worker_putmessage(char type, const char *data, size_t len)
{
	shm_mq_iovec iov[2];
	shm_mq_result result = SHM_MQ_WOULD_BLOCK;
	instr_time	start;

	if (worker_sending)
		worker_drop_queue();
	if (worker_queue == NULL)
		return 0;

	iov[0].data = &type;
	iov[0].len = 1;
	iov[1].data = data;
	iov[1].len = len;
	worker_sending = true;
	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		instr_time	waited;

		result = shm_mq_sendv(worker_queue, iov, 2, true, true);
		if (result != SHM_MQ_WOULD_BLOCK)
			break;
		INSTR_TIME_SET_CURRENT(waited);
		INSTR_TIME_SUBTRACT(waited, start);
		if (INSTR_TIME_GET_MILLISEC(waited) > WORKER_QUEUE_PATIENCE)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 1000, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (worker_queue == NULL)
			break;
	}
	worker_sending = false;
	if (result != SHM_MQ_SUCCESS)
		worker_drop_queue();
	return 0;
}

static void
worker_putmessage_noblock(char type, const char *data, size_t len)
{
	(void) worker_putmessage(type, data, len);
}

static const CompatCommMethods worker_comm_methods = {
	worker_comm_reset,
	worker_flush,
	worker_flush,
	worker_is_send_pending,
	worker_putmessage,
	worker_putmessage_noblock
};

static void
worker_assign_client_encoding(const char *newval, void *extra)
{
}

/*
 * Messages leave in the database's encoding, and the caller converts them. So
 * client_encoding may be set here, but takes no effect, as in a parallel worker:
 * a NOTICE may follow within the statement that set it.
 */
static void
worker_ignore_client_encoding(void)
{
	int			n;
	struct config_generic **vars = compat_guc_variables(&n);

	for (int i = 0; i < n; i++)
	{
		if (strcmp(vars[i]->name, "client_encoding") == 0)
			((struct config_string *) vars[i])->assign_hook = worker_assign_client_encoding;
	}
}

/* The caller's libraries, settings and user; in a transaction of its own. */
static void
worker_become_session(shm_toc *toc, const WorkerShared *shared)
{
	StartTransactionCommand();
	RestoreLibraryState(shm_toc_lookup(toc, WORKER_KEY_LIBRARIES, false));
	RestoreGUCState(shm_toc_lookup(toc, WORKER_KEY_GUC, false));
	session_settings_adopt_resets(shm_toc_lookup(toc, WORKER_KEY_RESETS, false));

	/* What RESET SESSION AUTHORIZATION goes back to. */
	SetConfigOption("session_authorization",
					GetUserNameFromId(shared->authenticated_user, false),
					PGC_BACKEND, PGC_S_OVERRIDE);
	if (strcmp(GetConfigOption("session_authorization", false, false), shared->session_user) != 0)
		SetConfigOption("session_authorization", shared->session_user,
						PGC_USERSET, PGC_S_SESSION);
	if (strcmp(GetConfigOption("role", false, false), shared->role) != 0)
		SetConfigOption("role", shared->role, PGC_USERSET, PGC_S_SESSION);

	/*
	 * The caller's timeouts are about its CALL, and it sees to them itself. A build
	 * under repeatable read would wait for itself. A RESET ALL in the script must
	 * not bring back what the role has of them.
	 */
	session_settings_fix("statement_timeout", "0");
	session_settings_fix("idle_in_transaction_session_timeout", "0");

	/* Of the server from 17 on. */
	if (GetConfigOption("transaction_timeout", true, false) != NULL)
		session_settings_fix("transaction_timeout", "0");
	session_settings_fix("default_transaction_isolation", "read committed");
	session_settings_fix("default_transaction_read_only", "off");
	session_settings_fix("default_transaction_deferrable", "off");
	CommitTransactionCommand();
}

static void
worker_read_request(shm_toc *toc, const WorkerShared *shared, Request *request)
{
	const char *version = shm_toc_lookup(toc, WORKER_KEY_STRINGS, false);
	const char *track = version + strlen(version) + 1;
	const char *source = track + strlen(track) + 1;
	MemoryContext context = CurrentMemoryContext;
	text	   *sql = cstring_to_text_with_len(shm_toc_lookup(toc, WORKER_KEY_SCRIPT, false),
											   (int) shared->script_len);

	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	request_begin(request, version, sql, shared->has_source ? source : NULL, track);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);

	/* Those that the caller read at its entry. */
	request->settings = shared->settings;
	request->settings.track = unconstify(char *, request->track);
}

/*
 * At the process's end. A termination that comes between two transactions finds
 * none to abort, and core gives relation locks of the session back with that
 * only: one that a repair holds would stay until the server's restart.
 */
static void
worker_release_locks(int code, Datum arg)
{
	LockReleaseAll(DEFAULT_LOCKMETHOD, true);
}

/*
 * The entry point of a worker; main_arg is the handle of its segment.
 */
void
tapmig_worker_main(Datum main_arg)
{
	dsm_segment *segment;
	shm_toc    *toc;
	shm_mq	   *queue;
	WorkerShared *shared;
	Request		request;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	/* No resource owner yet, so that the mapping lives as long as the process. */
	segment = dsm_attach(DatumGetUInt32(main_arg));
	if (segment == NULL)
	{
		ereport(LOG,
				(errmsg("%s found nothing to run: its caller ended before it began",
						MyBgworkerEntry->bgw_name),
				 errdetail("No step was begun by it.")));
		return;
	}
	toc = shm_toc_attach(worker_magic(), dsm_segment_address(segment));
	if (toc == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s is of another version of the library than its caller",
						MyBgworkerEntry->bgw_name),
				 errhint("Run it in a new session: the library was just replaced.")));
	shared = shm_toc_lookup(toc, WORKER_KEY_SHARED, false);
	queue = shm_toc_lookup(toc, WORKER_KEY_QUEUE, false);
	shm_mq_set_sender(queue, MyProc);

	CurrentMemoryContext = AllocSetContextCreate(TopMemoryContext, "tapmig worker",
												 ALLOCSET_DEFAULT_SIZES);
	worker_queue = shm_mq_attach(queue, segment, NULL);
	pq_redirect_to_shm_mq(segment, worker_queue);
	PqCommMethods = &worker_comm_methods;

	worker_ignore_client_encoding();
	BackgroundWorkerInitializeConnectionByOid(shared->database,
											  shared->authenticated_user, 0);
	on_shmem_exit(worker_release_locks, 0);
	SetClientEncoding(GetDatabaseEncoding());
	worker_become_session(toc, shared);
	worker_read_request(toc, shared, &request);
	shared->outcome = stepwise_run(&request, shared->first_cut);
}
