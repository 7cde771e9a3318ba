/// The operations above as one table; the including file has defined the rest: matmul_f32_i16_i8 and the probes.
#define TUSK_KERNEL_TABLE(isa)                      \
  {                                                 \
    .name = isa,                                    \
    .quantize_i16_f32 = ISA(quantize_i16_f32),      \
    .matmul_f32_i16_i8 = ISA(matmul_f32_i16_i8),    \
    .matmul_f32_f32_f32 = ISA(matmul_f32_f32_f32),  \
    .gather_f32_i8 = ISA(gather_f32_i8),            \
    .rmsnorm_f32 = ISA(rmsnorm_f32),                \
    .layernorm_f32 = ISA(layernorm_f32),            \
    .activate_f32 = ISA(activate_f32),              \
    .add_f32 = ISA(add_f32),                        \
    .multiply_f32 = ISA(multiply_f32),              \
    .scale_f32 = ISA(scale_f32),                    \
    .axpy_f32 = ISA(axpy_f32),                      \
    .attend_f32 = ISA(attend_f32),                  \
    .kronecker_f32 = ISA(kronecker_f32),            \
    .argmax_f32 = ISA(argmax_f32),                  \
    .max_f32 = ISA(max_f32),                        \
    .logsumexp_f32 = ISA(logsumexp_f32),            \
    .read_probe = ISA(read_probe),                  \
    .multiply_add_probe = ISA(multiply_add_probe),  \
  }
