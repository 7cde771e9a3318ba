/// Tusk for C and C++: language models with many small tasks, in memory that is planned before anything runs.
///
///     tusk_model *model;
///     tusk_model_create(NULL, 0, &model);
///     tusk_model_open_path(model, "t5.tusk");
///     tusk_session *session;
///     tusk_session_create(model, NULL, &session);
///     tusk_text answer;
///     tusk_session_generate_text(session, "The lamp costs twelve dollars.", 30, 0, NULL, NULL, &answer);
///
/// A *model* is a backbone and tasks in open files, which are mapped read-only and never copied. A *session* is the
/// memory and the threads that answer with it. Any number of sessions use one model.
///
/// Results. Every function that can fail returns a `tusk_status`; the `last_message` of the handle says what was found and
/// what was required. NULL, numbers out of range, calls in the wrong order and damaged files give a status; nothing ends
/// the program. An output is written only with TUSK_OK, unless its description says otherwise.
///
/// Texts are UTF-8 with a length and need no final null character; bytes that are not UTF-8 count as U+FFFD.
///
/// Threads. There is no global state. A function of class [any] may be called by any thread at any time. Of those of
/// class [model] one may run on a model at a time, of those of class [session] one on a session at a time; a call that
/// finds another one under way returns TUSK_ERROR_IN_USE and does nothing. Functions of class [read] may run beside each
/// other and beside sessions, but not beside one of class [model] on the same model. Destroying a handle that another
/// call uses is an error no status can report.
///
/// Letters in shapes: S tokens of the source, T decoder positions, D width of the backbone, V ids with logits. Row-major.
#ifndef TUSK_H
#define TUSK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TUSK_API __attribute__((visibility("default")))

/// Grows when a program compiled against an older header would no longer work with the library.
#define TUSK_ABI_VERSION 1

/// 0, or 100 times a `sysexits` code plus the kind: `tusk_status_exit_code` gives the group.
typedef int32_t tusk_status;

enum {
  TUSK_OK = 0,

  /// Group 64: the call is wrong.
  TUSK_ERROR_USAGE = 6400,
  TUSK_ERROR_NULL_ARGUMENT = 6401,
  /// A number outside its range, or memory with a length but no address.
  TUSK_ERROR_INVALID_ARGUMENT = 6402,
  /// `struct_bytes` is not that of a structure this library knows.
  TUSK_ERROR_STRUCT_BYTES = 6403,
  /// Something else has to be called first, or must not be called again.
  TUSK_ERROR_WRONG_ORDER = 6404,
  /// Another call on this handle is under way, or sessions still use the model.
  TUSK_ERROR_IN_USE = 6405,
  TUSK_ERROR_NO_SUCH_TASK = 6406,
  TUSK_ERROR_NO_SUCH_LABEL = 6407,
  /// The caller's memory is smaller than what is needed.
  TUSK_ERROR_MEMORY_TOO_SMALL = 6408,
  /// The caller's memory does not begin on a multiple of 64 bytes.
  TUSK_ERROR_MISALIGNED_MEMORY = 6409,

  /// Group 65: a file or a text cannot be used.
  TUSK_ERROR_DATA = 6500,
  /// Not a Tusk file of a version this library reads, or a damaged one.
  TUSK_ERROR_FORMAT = 6501,
  /// The task was made for another backbone.
  TUSK_ERROR_OTHER_BACKBONE = 6502,
  /// The file holds a task but no backbone.
  TUSK_ERROR_NOT_A_BACKBONE = 6503,
  TUSK_ERROR_NO_TOKENIZER = 6504,
  TUSK_ERROR_TOKENIZER = 6505,
  TUSK_ERROR_TEXT_TOO_LONG = 6506,
  TUSK_ERROR_EMPTY_SOURCE = 6507,
  TUSK_ERROR_SOURCE_TOO_LONG = 6508,
  TUSK_ERROR_TARGET_TOO_LONG = 6509,
  TUSK_ERROR_ID_OUT_OF_RANGE = 6510,
  TUSK_ERROR_TYPE_OUT_OF_RANGE = 6511,
  /// Neither the task nor the backbone has a head, or one of another kind than was asked for.
  TUSK_ERROR_NO_HEAD = 6512,
  /// An encoder generates no text.
  TUSK_ERROR_NO_DECODER = 6513,
  /// The tasks have no meaning one behind the other.
  TUSK_ERROR_NOT_STACKABLE = 6514,

  /// Group 66: there is no such file.
  TUSK_ERROR_NO_INPUT = 6600,
  TUSK_ERROR_CANNOT_OPEN = 6601,
  TUSK_ERROR_NOT_REGULAR_FILE = 6602,

  /// Group 70: the machine is short of something.
  TUSK_ERROR_INTERNAL = 7000,
  TUSK_ERROR_OUT_OF_MEMORY = 7001,
  TUSK_ERROR_NO_THREADS = 7002,
  TUSK_ERROR_PLAN_TOO_LARGE = 7003,

  /// Group 75: the memory budget cannot be met.
  TUSK_ERROR_BUDGET = 7500
};

typedef struct tusk_model tusk_model;
typedef struct tusk_session tusk_session;

/// Bytes of UTF-8 without a final null character. Who owns them is said by the function that gives them.
typedef struct {
  const char *bytes;
  size_t count;
} tusk_text;

/// [any] TUSK_ABI_VERSION of the library.
TUSK_API int32_t tusk_library_abi_version(void);

/// [any] The `sysexits` code of a status, which is also its group: 0, 64, 65, 66, 70, 75.
TUSK_API int32_t tusk_status_exit_code(tusk_status status);

/// [any] The constant's name, as "TUSK_ERROR_FORMAT"; "TUSK_ERROR_UNKNOWN" for other numbers. Never freed.
TUSK_API const char *tusk_status_name(tusk_status status);

/// [any] Makes a model without files.
///
/// `memory` is NULL, or `memory_bytes` of the caller's on a multiple of 64 bytes, in which the model then keeps all it
/// keeps; it has to outlive the model and belongs to it until then. TUSK_MODEL_MEMORY_BYTES are enough for 16 files.
/// Only the library built without the Swift runtime uses it; the other one takes from malloc what the runtime takes.
TUSK_API tusk_status tusk_model_create(void *memory, size_t memory_bytes, tusk_model **model);

#define TUSK_MODEL_MEMORY_BYTES 65536

/// [model] Frees the model and unmaps its files. NULL is no error.
/// TUSK_ERROR_IN_USE, and nothing happens, while it has sessions.
TUSK_API tusk_status tusk_model_destroy(tusk_model *model);

/// [model] The sentence of the last function of class [model] on `model` that failed; "" if none did. It changes with the
/// next failure. For NULL, a sentence that says so.
TUSK_API const char *tusk_model_last_message(const tusk_model *model);

/// [model] Opens the file of the backbone, with the tasks it may hold. Once per model. Reads a few pages and no weight.
///
/// The file must not be cut short while the model exists: the system ends programs that read mapped pages that are gone.
TUSK_API tusk_status tusk_model_open_path(tusk_model *model, const char *path);

/// [model] The same for an open file. The descriptor stays the caller's, who may close it at once.
TUSK_API tusk_status tusk_model_open_descriptor(tusk_model *model, int descriptor);

/// [model] The same for a file that lies in memory, on a multiple of 64 bytes; it is used in place and must neither change
/// nor vanish before the model is destroyed.
TUSK_API tusk_status tusk_model_open_memory(tusk_model *model, const void *bytes, size_t count);

/// [model] Mounts the tasks of a further file. They get the numbers behind those that are there, and serve the sessions
/// made from then on. TUSK_ERROR_OTHER_BACKBONE if one was made for another backbone; then none is mounted.
TUSK_API tusk_status tusk_model_mount_path(tusk_model *model, const char *path);
TUSK_API tusk_status tusk_model_mount_descriptor(tusk_model *model, int descriptor);
TUSK_API tusk_status tusk_model_mount_memory(tusk_model *model, const void *bytes, size_t count);

enum { TUSK_ENCODER_DECODER = 1, TUSK_ENCODER = 2 };

typedef struct {
  /// In: sizeof(tusk_model_info).
  size_t struct_bytes;
  /// Names the checkpoint; tasks carry the one of theirs.
  uint64_t fingerprint;
  /// Bytes of the backbone's file.
  uint64_t backbone_bytes;
  /// TUSK_ENCODER_DECODER or TUSK_ENCODER.
  int32_t architecture;
  /// D.
  int32_t width;
  int32_t layers;
  /// 0 in an encoder.
  int32_t decoder_layers;
  int32_t vocabulary_size;
  /// Longest source there are positions for; 0 for no bound.
  int32_t max_source_tokens;
  int32_t pad_id;
  /// Ends a source and an answer.
  int32_t end_id;
  /// Enters the decoder first.
  int32_t start_id;
  int32_t tasks;
  bool has_tokenizer;
  /// Whether the backbone itself has a head.
  bool has_head;
} tusk_model_info;

/// [read] What was opened. TUSK_ERROR_WRONG_ORDER before that.
TUSK_API tusk_status tusk_model_get_info(const tusk_model *model, tusk_model_info *info);

/// The task number that stands for the backbone alone.
#define TUSK_NO_TASK (-1)

/// What the numbers of a head are.
enum {
  TUSK_HEAD_NONE = 0,
  /// Labels of which one holds: scores sum to 1.
  TUSK_HEAD_EXCLUSIVE_LABELS = 1,
  /// Labels of which any may hold: a score in 0 ... 1 each.
  TUSK_HEAD_INDEPENDENT_LABELS = 2,
  /// Regression.
  TUSK_HEAD_NUMBERS = 3,
  TUSK_HEAD_EMBEDDING = 4
};

typedef struct {
  /// In: sizeof(tusk_task_info).
  size_t struct_bytes;
  /// Lies in the file, valid as long as the model. Empty for TUSK_NO_TASK.
  tusk_text name;
  /// Bytes of the task in its file; of TUSK_NO_TASK, those of the backbone's head.
  uint64_t bytes;
  /// Ids with logits, V.
  int32_t vocabulary_size;
  /// Of the task's own head.
  int32_t head;
  /// Numbers the head makes.
  int32_t outputs;
  /// `outputs`, or 0 if they have no names.
  int32_t labels;
} tusk_task_info;

/// [read] About task `task`: below `tusk_model_info.tasks`, or TUSK_NO_TASK for the backbone's own head.
TUSK_API tusk_status tusk_model_get_task(const tusk_model *model, int32_t task, tusk_task_info *info);

/// [read] The name of output `label` of task `task`. It lies in the file, valid as long as the model.
TUSK_API tusk_status tusk_model_get_label(const tusk_model *model, int32_t task, int32_t label, tusk_text *name);

/// [read] The number of the first task that is called `name`.
TUSK_API tusk_status tusk_model_find_task(const tusk_model *model, const char *name, size_t count, int32_t *task);

/// What a session is to be able to do. A member that is 0 has its default.
typedef struct {
  /// In: sizeof(tusk_session_options).
  size_t struct_bytes;
  /// Longest source in tokens, S; default 512, and never more than the backbone has positions for.
  int32_t source_tokens;
  /// Longest answer in tokens, T; default 64.
  int32_t target_tokens;
  /// Hypotheses of a beam search; default 1, greedy decoding.
  int32_t beams;
  /// Default 1. Answers do not depend on it.
  int32_t threads;
  /// Upper bound on private memory; default none. The planner takes smaller tiles to meet it.
  uint64_t budget_bytes;
  /// Longest text the caller's memory is to have room for, both texts of a pair together; default 8 bytes for each token
  /// of the source.
  uint64_t text_bytes;
  /// Name of the best instruction set that may be used, as "portable"; default NULL, what the processor has.
  const char *isa;
  /// NULL, or memory of the caller's on a multiple of 64 bytes in which the session works: `session_bytes` of its
  /// footprint. It has to outlive the session and belongs to it until then. With one thread, the library built without the
  /// Swift runtime then asks nobody for memory, from creating the session to destroying it; the other one takes from
  /// malloc what the Swift runtime takes for objects (when created) and texts (in every call).
  void *memory;
  size_t memory_bytes;
  /// Cuts sources that are longer than planned as Hugging Face does, rather than refusing them.
  bool truncates;
} tusk_session_options;

/// Where the memory goes, in bytes.
typedef struct {
  /// In: sizeof(tusk_footprint).
  size_t struct_bytes;
  /// Mapped read-only, shared by all processes and droppable by the system: the backbone, the tasks.
  uint64_t mapped_backbone;
  uint64_t mapped_tasks;
  /// Private: keys and values of the decoder.
  uint64_t key_value_cache;
  /// Private: everything else a sub-layer works with.
  uint64_t activations;
  /// Private: the tokenizer's working memory for one source.
  uint64_t tokenizer;
  /// Private: program, C library, thread stacks.
  uint64_t runtime_floor;
  /// Sum of the private ones. If the budget cannot be met, the smallest one that can.
  uint64_t private_bytes;
  /// What a session takes of the caller's memory.
  uint64_t session_bytes;
  /// S and T as planned.
  int32_t source_tokens;
  int32_t target_tokens;
} tusk_footprint;

/// [model] Plans a session and makes none. `options` may be NULL. TUSK_ERROR_BUDGET if the budget cannot be met; then
/// `footprint` is written too.
TUSK_API tusk_status tusk_model_plan_session(
    tusk_model *model, const tusk_session_options *options, tusk_footprint *footprint);

/// [model] Makes a session on the backbone alone. `options` may be NULL. It has the tasks mounted now and room for each.
/// Failures leave their sentence with the model.
TUSK_API tusk_status tusk_session_create(
    tusk_model *model, const tusk_session_options *options, tusk_session **session);

/// [session] Ends its threads and frees it. NULL is no error. TUSK_ERROR_IN_USE, and nothing happens, from a callback.
TUSK_API tusk_status tusk_session_destroy(tusk_session *session);

/// [session] The sentence of the last function on `session` that failed; "" if none did. It changes with the next failure.
/// For NULL, a sentence that says so.
TUSK_API const char *tusk_session_last_message(const tusk_session *session);

/// [any] The plan the session was made with.
TUSK_API tusk_status tusk_session_get_footprint(const tusk_session *session, tusk_footprint *footprint);

/// [session] Switches to task `task`, or to TUSK_NO_TASK. Copies nothing: some microseconds. Forgets the
/// source that is encoded.
TUSK_API tusk_status tusk_session_set_task(tusk_session *session, int32_t task);

/// [session] The same for `count` tasks that act one behind the other, each on what comes out of the one before it; of
/// norms, biases and heads the last one counts. TUSK_ERROR_NOT_STACKABLE, and all stays as it is, if they have no meaning
/// together; TUSK_ERROR_INVALID_ARGUMENT if there are more than this library stacks.
TUSK_API tusk_status tusk_session_set_tasks(tusk_session *session, const int32_t *tasks, size_t count);

/// Ids of a source with what the model takes around it, and the type of each. Arrays of `count`, in the session's memory,
/// valid until the next call on it.
typedef struct {
  const int32_t *ids;
  const int32_t *types;
  size_t count;
} tusk_tokens;

/// Float32 [rows, columns] in the session's memory, valid until the next call on it.
typedef struct {
  const float *values;
  size_t rows;
  size_t columns;
} tusk_matrix;

/// [session] Text to ids. `second` is NULL or a text that belongs to the first one.
TUSK_API tusk_status tusk_session_tokenize_text(
    tusk_session *session, const char *text, size_t count, const char *second, size_t second_count,
    tusk_tokens *tokens);

/// [session] Ids to text, special tokens left out. In the session's memory, valid until the next call on it.
TUSK_API tusk_status tusk_session_decode_ids(
    tusk_session *session, const int32_t *ids, size_t count, tusk_text *text);

/// [session] Encodes a source of `count` ids. `types` is NULL for type 0, or `count` types.
TUSK_API tusk_status tusk_session_encode_ids(
    tusk_session *session, const int32_t *ids, const int32_t *types, size_t count);

/// [session] `tusk_session_tokenize_text` and `tusk_session_encode_ids`.
TUSK_API tusk_status tusk_session_encode_text(
    tusk_session *session, const char *text, size_t count, const char *second, size_t second_count);

/// [session] What the encoder made of the source: [S, D], the rows of a task's prompt first. Before decoding begins, which
/// takes its place.
TUSK_API tusk_status tusk_session_get_hidden(tusk_session *session, tusk_matrix *hidden);

/// [session] What the head made of the source, of an encoder: [1, outputs] logits, numbers or an embedding.
TUSK_API tusk_status tusk_session_get_outputs(tusk_session *session, tusk_matrix *outputs);

/// [session] The same for people: probabilities of labels, else the numbers themselves: [1, outputs].
TUSK_API tusk_status tusk_session_get_scores(tusk_session *session, tusk_matrix *scores);

/// [session] Goes back to the first position of the decoder. TUSK_ERROR_WRONG_ORDER before a source is encoded.
TUSK_API tusk_status tusk_session_start_decoding(tusk_session *session);

/// [session] Feeds `id` to the decoder, first `tusk_model_info.start_id`; gives the logits of the next one: [1, V].
/// For sessions with one beam.
TUSK_API tusk_status tusk_session_step_token(tusk_session *session, int32_t id, tusk_matrix *logits);

/// Called with each new token, the one that ends the answer included; false ends it too. `text` is what the token adds to
/// the answer; it may end within a character. Functions of ids give it as NULL. A beam search knows its tokens at its end
/// only and gives them then. `context` is the caller's. The session refuses calls until the callback has returned.
typedef bool (*tusk_token_callback)(void *context, int32_t id, const char *text, size_t count);

/// [session] The answer to a source of ids: ids without the start token, with the one that ends it if it came, in the
/// session's memory, valid until the next call on it; types are NULL. `callback` may be NULL. `max_tokens` is at most
/// what was planned, or 0 for that.
TUSK_API tusk_status tusk_session_generate_ids(
    tusk_session *session, const int32_t *ids, size_t count, int32_t max_tokens, tusk_token_callback callback,
    void *context, tusk_tokens *answer);

/// [session] The answer to a text, in the session's memory, valid until the next call on it. Otherwise as
/// `tusk_session_generate_ids`.
TUSK_API tusk_status tusk_session_generate_text(
    tusk_session *session, const char *text, size_t count, int32_t max_tokens, tusk_token_callback callback,
    void *context, tusk_text *answer);

/// [session] Scores of the labels of a text or a pair, or the numbers of a regression: [1, outputs]. `best` receives the
/// label with the largest score; it may be NULL. TUSK_ERROR_NO_HEAD if the head makes embeddings.
TUSK_API tusk_status tusk_session_classify_text(
    tusk_session *session, const char *text, size_t count, const char *second, size_t second_count,
    tusk_matrix *scores, int32_t *best);

/// [session] The embedding of a text: [1, outputs]. TUSK_ERROR_NO_HEAD if the head makes something else.
TUSK_API tusk_status tusk_session_embed_text(
    tusk_session *session, const char *text, size_t count, tusk_matrix *embedding);

#ifdef __cplusplus
}
#endif

#endif
