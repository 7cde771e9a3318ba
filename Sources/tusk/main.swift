import TuskFormat

print("hi")
