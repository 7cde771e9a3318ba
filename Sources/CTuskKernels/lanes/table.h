/// The operations above as one table, by the name FLOATS(operation); the including file has defined the rest by ISA:
/// matmul_f32_i16_i8 and the probes.
#define TUSK_KERNEL_TABLE(isa)                        \
  {                                                   \
    .name = isa,                                      \
    .quantize_i16_f32 = FLOATS(quantize_i16_f32),     \
    .quantize_i8_f32 = FLOATS(quantize_i8_f32),       \
    .convert_f16_f32 = FLOATS(convert_f16_f32),       \
    .matmul_f32_i16_i8 = ISA(matmul_f32_i16_i8),      \
    .matmul_f32_f32_f32 = FLOATS(matmul_f32_f32_f32), \
    .combine_f32 = FLOATS(combine_f32),               \
    .gather_f32_i8 = FLOATS(gather_f32_i8),           \
    .rmsnorm_f32 = FLOATS(rmsnorm_f32),               \
    .layernorm_f32 = FLOATS(layernorm_f32),           \
    .activate_f32 = FLOATS(activate_f32),             \
    .add_f32 = FLOATS(add_f32),                       \
    .multiply_f32 = FLOATS(multiply_f32),             \
    .scale_f32 = FLOATS(scale_f32),                   \
    .axpy_f32 = FLOATS(axpy_f32),                     \
    .attend_f32 = FLOATS(attend_f32),                 \
    .kronecker_f32 = FLOATS(kronecker_f32),           \
    .argmax_f32 = FLOATS(argmax_f32),                 \
    .max_f32 = FLOATS(max_f32),                       \
    .logsumexp_f32 = FLOATS(logsumexp_f32),           \
    .read_probe = ISA(read_probe),                    \
    .multiply_add_probe = ISA(multiply_add_probe),    \
  }
