import TuskFormat
