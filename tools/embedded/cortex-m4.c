/// A program for a Cortex-M4 of the mps2-an386 board: answers one text from a model in its read-only memory, prints it
/// through the debugger's channel (semihosting) and ends.

#include "tusk_embedded.h"

#define STRING(x) #x
#define QUOTED(x) STRING(x)

__asm__(".section .rodata.model, \"a\"\n"
        ".balign 64\n"
        ".global model\nmodel:\n"
        ".incbin \"" QUOTED(MODEL) "\"\n"
        ".global modelEnd\nmodelEnd:\n"
        ".byte 0\n");

extern const uint8_t model[], modelEnd[];
extern uint8_t bssStart[], bssEnd[], stackTop[];

static _Alignas(64) uint8_t arena[ARENA_BYTES];
static uint8_t heap[HEAP_BYTES];

enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, APPLICATION_EXIT = 0x20026, INTERNAL_ERROR = 0x20024 };

static void ask_debugger(uintptr_t operation, uintptr_t argument) {
  register uintptr_t r0 __asm__("r0") = operation;
  register uintptr_t r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void print_number(size_t number) {
  char digits[24];
  size_t first = sizeof digits - 1;
  digits[first] = 0;
  do {
    digits[--first] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  ask_debugger(SYS_WRITE0, (uintptr_t)(digits + first));
}

void answer_and_end(void) {
  static const char text[] = TEXT;
  static uint8_t answer[1024];
  tusk_embedded_report report = {0};
  tusk_embedded_set_heap(heap, sizeof heap);
  ptrdiff_t count = tusk_embedded_answer(model, (size_t)(modelEnd - model), arena, sizeof arena, (const uint8_t *)text,
                                         sizeof text - 1, SOURCE_TOKENS, NEW_TOKENS, answer, sizeof answer - 1, &report);
  if (count < 0) {
    ask_debugger(SYS_WRITE0, (uintptr_t) "refused: ");
    print_number((size_t)-count);
    ask_debugger(SYS_WRITE0, (uintptr_t) " kind ");
    print_number(report.kind);
    ask_debugger(SYS_WRITE0, (uintptr_t) " arena ");
    print_number(report.arenaBytes);
    ask_debugger(SYS_WRITE0, (uintptr_t) "\n");
    ask_debugger(SYS_EXIT, INTERNAL_ERROR);
  }
  ask_debugger(SYS_WRITE0, (uintptr_t)answer);
  ask_debugger(SYS_WRITE0, (uintptr_t) "\n");
  ask_debugger(SYS_EXIT, APPLICATION_EXIT);
}

void reset(void) {
  *(volatile uint32_t *)0xE000ED88 |= 0xF << 20;  // the floating-point unit may be used
  for (uint8_t *byte = bssStart; byte < bssEnd; byte++) *byte = 0;
  answer_and_end();
}

void fault(void) {
  ask_debugger(SYS_WRITE0, (uintptr_t) "fault\n");
  ask_debugger(SYS_EXIT, INTERNAL_ERROR);
  for (;;) {}
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stackTop, reset, fault, fault, fault, fault, fault,
};
