from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class L1DataAvailabilityMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Calldata: _ClassVar[L1DataAvailabilityMode]
    Blob: _ClassVar[L1DataAvailabilityMode]

class VolitionDomain(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    L1: _ClassVar[VolitionDomain]
    L2: _ClassVar[VolitionDomain]

class PriceUnit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Wei: _ClassVar[PriceUnit]
    Fri: _ClassVar[PriceUnit]
Calldata: L1DataAvailabilityMode
Blob: L1DataAvailabilityMode
L1: VolitionDomain
L2: VolitionDomain
Wei: PriceUnit
Fri: PriceUnit

class Felt252(_message.Message):
    __slots__ = ("elements",)
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    elements: bytes
    def __init__(self, elements: _Optional[bytes] = ...) -> None: ...

class Hash(_message.Message):
    __slots__ = ("elements",)
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    elements: bytes
    def __init__(self, elements: _Optional[bytes] = ...) -> None: ...

class Hash256(_message.Message):
    __slots__ = ("elements",)
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    elements: bytes
    def __init__(self, elements: _Optional[bytes] = ...) -> None: ...

class Address(_message.Message):
    __slots__ = ("elements",)
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    elements: bytes
    def __init__(self, elements: _Optional[bytes] = ...) -> None: ...

class EthereumAddress(_message.Message):
    __slots__ = ("elements",)
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    elements: bytes
    def __init__(self, elements: _Optional[bytes] = ...) -> None: ...

class Uint128(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: int
    high: int
    def __init__(self, low: _Optional[int] = ..., high: _Optional[int] = ...) -> None: ...

class ConsensusSignature(_message.Message):
    __slots__ = ("r", "s")
    R_FIELD_NUMBER: _ClassVar[int]
    S_FIELD_NUMBER: _ClassVar[int]
    r: Felt252
    s: Felt252
    def __init__(self, r: _Optional[_Union[Felt252, _Mapping]] = ..., s: _Optional[_Union[Felt252, _Mapping]] = ...) -> None: ...

class Patricia(_message.Message):
    __slots__ = ("n_leaves", "root")
    N_LEAVES_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    n_leaves: int
    root: Hash
    def __init__(self, n_leaves: _Optional[int] = ..., root: _Optional[_Union[Hash, _Mapping]] = ...) -> None: ...

class StateDiffCommitment(_message.Message):
    __slots__ = ("state_diff_length", "root")
    STATE_DIFF_LENGTH_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    state_diff_length: int
    root: Hash
    def __init__(self, state_diff_length: _Optional[int] = ..., root: _Optional[_Union[Hash, _Mapping]] = ...) -> None: ...

class Fin(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Iteration(_message.Message):
    __slots__ = ("block_number", "header", "direction", "limit", "step")
    class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        Forward: _ClassVar[Iteration.Direction]
        Backward: _ClassVar[Iteration.Direction]
    Forward: Iteration.Direction
    Backward: Iteration.Direction
    BLOCK_NUMBER_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    block_number: int
    header: Hash
    direction: Iteration.Direction
    limit: int
    step: int
    def __init__(self, block_number: _Optional[int] = ..., header: _Optional[_Union[Hash, _Mapping]] = ..., direction: _Optional[_Union[Iteration.Direction, str]] = ..., limit: _Optional[int] = ..., step: _Optional[int] = ...) -> None: ...

class BlockHeadersRequest(_message.Message):
    __slots__ = ("iteration",)
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    iteration: Iteration
    def __init__(self, iteration: _Optional[_Union[Iteration, _Mapping]] = ...) -> None: ...

class StateDiffsRequest(_message.Message):
    __slots__ = ("iteration",)
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    iteration: Iteration
    def __init__(self, iteration: _Optional[_Union[Iteration, _Mapping]] = ...) -> None: ...

class ClassesRequest(_message.Message):
    __slots__ = ("iteration",)
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    iteration: Iteration
    def __init__(self, iteration: _Optional[_Union[Iteration, _Mapping]] = ...) -> None: ...

class TransactionsRequest(_message.Message):
    __slots__ = ("iteration",)
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    iteration: Iteration
    def __init__(self, iteration: _Optional[_Union[Iteration, _Mapping]] = ...) -> None: ...

class EventsRequest(_message.Message):
    __slots__ = ("iteration",)
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    iteration: Iteration
    def __init__(self, iteration: _Optional[_Union[Iteration, _Mapping]] = ...) -> None: ...

class SignedBlockHeader(_message.Message):
    __slots__ = ("block_hash", "parent_hash", "number", "time", "sequencer_address", "state_root", "state_diff_commitment", "transactions", "events", "receipts", "protocol_version", "l1_gas_price_fri", "l1_gas_price_wei", "l1_data_gas_price_fri", "l1_data_gas_price_wei", "l2_gas_price_fri", "l2_gas_price_wei", "l1_data_availability_mode", "signatures")
    BLOCK_HASH_FIELD_NUMBER: _ClassVar[int]
    PARENT_HASH_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_ROOT_FIELD_NUMBER: _ClassVar[int]
    STATE_DIFF_COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    L1_GAS_PRICE_FRI_FIELD_NUMBER: _ClassVar[int]
    L1_GAS_PRICE_WEI_FIELD_NUMBER: _ClassVar[int]
    L1_DATA_GAS_PRICE_FRI_FIELD_NUMBER: _ClassVar[int]
    L1_DATA_GAS_PRICE_WEI_FIELD_NUMBER: _ClassVar[int]
    L2_GAS_PRICE_FRI_FIELD_NUMBER: _ClassVar[int]
    L2_GAS_PRICE_WEI_FIELD_NUMBER: _ClassVar[int]
    L1_DATA_AVAILABILITY_MODE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    block_hash: Hash
    parent_hash: Hash
    number: int
    time: int
    sequencer_address: Address
    state_root: Hash
    state_diff_commitment: StateDiffCommitment
    transactions: Patricia
    events: Patricia
    receipts: Hash
    protocol_version: str
    l1_gas_price_fri: Uint128
    l1_gas_price_wei: Uint128
    l1_data_gas_price_fri: Uint128
    l1_data_gas_price_wei: Uint128
    l2_gas_price_fri: Uint128
    l2_gas_price_wei: Uint128
    l1_data_availability_mode: L1DataAvailabilityMode
    signatures: _containers.RepeatedCompositeFieldContainer[ConsensusSignature]
    def __init__(self, block_hash: _Optional[_Union[Hash, _Mapping]] = ..., parent_hash: _Optional[_Union[Hash, _Mapping]] = ..., number: _Optional[int] = ..., time: _Optional[int] = ..., sequencer_address: _Optional[_Union[Address, _Mapping]] = ..., state_root: _Optional[_Union[Hash, _Mapping]] = ..., state_diff_commitment: _Optional[_Union[StateDiffCommitment, _Mapping]] = ..., transactions: _Optional[_Union[Patricia, _Mapping]] = ..., events: _Optional[_Union[Patricia, _Mapping]] = ..., receipts: _Optional[_Union[Hash, _Mapping]] = ..., protocol_version: _Optional[str] = ..., l1_gas_price_fri: _Optional[_Union[Uint128, _Mapping]] = ..., l1_gas_price_wei: _Optional[_Union[Uint128, _Mapping]] = ..., l1_data_gas_price_fri: _Optional[_Union[Uint128, _Mapping]] = ..., l1_data_gas_price_wei: _Optional[_Union[Uint128, _Mapping]] = ..., l2_gas_price_fri: _Optional[_Union[Uint128, _Mapping]] = ..., l2_gas_price_wei: _Optional[_Union[Uint128, _Mapping]] = ..., l1_data_availability_mode: _Optional[_Union[L1DataAvailabilityMode, str]] = ..., signatures: _Optional[_Iterable[_Union[ConsensusSignature, _Mapping]]] = ...) -> None: ...

class BlockHeadersResponse(_message.Message):
    __slots__ = ("header", "fin")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    FIN_FIELD_NUMBER: _ClassVar[int]
    header: SignedBlockHeader
    fin: Fin
    def __init__(self, header: _Optional[_Union[SignedBlockHeader, _Mapping]] = ..., fin: _Optional[_Union[Fin, _Mapping]] = ...) -> None: ...

class ContractStoredValue(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: Felt252
    value: Felt252
    def __init__(self, key: _Optional[_Union[Felt252, _Mapping]] = ..., value: _Optional[_Union[Felt252, _Mapping]] = ...) -> None: ...

class ContractDiff(_message.Message):
    __slots__ = ("address", "nonce", "class_hash", "values", "domain")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    address: Address
    nonce: Felt252
    class_hash: Hash
    values: _containers.RepeatedCompositeFieldContainer[ContractStoredValue]
    domain: VolitionDomain
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ..., nonce: _Optional[_Union[Felt252, _Mapping]] = ..., class_hash: _Optional[_Union[Hash, _Mapping]] = ..., values: _Optional[_Iterable[_Union[ContractStoredValue, _Mapping]]] = ..., domain: _Optional[_Union[VolitionDomain, str]] = ...) -> None: ...

class DeclaredClass(_message.Message):
    __slots__ = ("class_hash", "compiled_class_hash")
    CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
    COMPILED_CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
    class_hash: Hash
    compiled_class_hash: Hash
    def __init__(self, class_hash: _Optional[_Union[Hash, _Mapping]] = ..., compiled_class_hash: _Optional[_Union[Hash, _Mapping]] = ...) -> None: ...

class StateDiffsResponse(_message.Message):
    __slots__ = ("contract_diff", "declared_class", "fin")
    CONTRACT_DIFF_FIELD_NUMBER: _ClassVar[int]
    DECLARED_CLASS_FIELD_NUMBER: _ClassVar[int]
    FIN_FIELD_NUMBER: _ClassVar[int]
    contract_diff: ContractDiff
    declared_class: DeclaredClass
    fin: Fin
    def __init__(self, contract_diff: _Optional[_Union[ContractDiff, _Mapping]] = ..., declared_class: _Optional[_Union[DeclaredClass, _Mapping]] = ..., fin: _Optional[_Union[Fin, _Mapping]] = ...) -> None: ...

class EntryPoint(_message.Message):
    __slots__ = ("selector", "offset")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    selector: Felt252
    offset: int
    def __init__(self, selector: _Optional[_Union[Felt252, _Mapping]] = ..., offset: _Optional[int] = ...) -> None: ...

class Cairo0Class(_message.Message):
    __slots__ = ("abi", "externals", "l1_handlers", "constructors", "program")
    ABI_FIELD_NUMBER: _ClassVar[int]
    EXTERNALS_FIELD_NUMBER: _ClassVar[int]
    L1_HANDLERS_FIELD_NUMBER: _ClassVar[int]
    CONSTRUCTORS_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    abi: str
    externals: _containers.RepeatedCompositeFieldContainer[EntryPoint]
    l1_handlers: _containers.RepeatedCompositeFieldContainer[EntryPoint]
    constructors: _containers.RepeatedCompositeFieldContainer[EntryPoint]
    program: str
    def __init__(self, abi: _Optional[str] = ..., externals: _Optional[_Iterable[_Union[EntryPoint, _Mapping]]] = ..., l1_handlers: _Optional[_Iterable[_Union[EntryPoint, _Mapping]]] = ..., constructors: _Optional[_Iterable[_Union[EntryPoint, _Mapping]]] = ..., program: _Optional[str] = ...) -> None: ...

class SierraEntryPoint(_message.Message):
    __slots__ = ("index", "selector")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    index: int
    selector: Felt252
    def __init__(self, index: _Optional[int] = ..., selector: _Optional[_Union[Felt252, _Mapping]] = ...) -> None: ...

class Cairo1EntryPoints(_message.Message):
    __slots__ = ("externals", "l1_handlers", "constructors")
    EXTERNALS_FIELD_NUMBER: _ClassVar[int]
    L1_HANDLERS_FIELD_NUMBER: _ClassVar[int]
    CONSTRUCTORS_FIELD_NUMBER: _ClassVar[int]
    externals: _containers.RepeatedCompositeFieldContainer[SierraEntryPoint]
    l1_handlers: _containers.RepeatedCompositeFieldContainer[SierraEntryPoint]
    constructors: _containers.RepeatedCompositeFieldContainer[SierraEntryPoint]
    def __init__(self, externals: _Optional[_Iterable[_Union[SierraEntryPoint, _Mapping]]] = ..., l1_handlers: _Optional[_Iterable[_Union[SierraEntryPoint, _Mapping]]] = ..., constructors: _Optional[_Iterable[_Union[SierraEntryPoint, _Mapping]]] = ...) -> None: ...

class Cairo1Class(_message.Message):
    __slots__ = ("abi", "entry_points", "program", "contract_class_version")
    ABI_FIELD_NUMBER: _ClassVar[int]
    ENTRY_POINTS_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_CLASS_VERSION_FIELD_NUMBER: _ClassVar[int]
    abi: str
    entry_points: Cairo1EntryPoints
    program: _containers.RepeatedCompositeFieldContainer[Felt252]
    contract_class_version: str
    def __init__(self, abi: _Optional[str] = ..., entry_points: _Optional[_Union[Cairo1EntryPoints, _Mapping]] = ..., program: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., contract_class_version: _Optional[str] = ...) -> None: ...

class Class(_message.Message):
    __slots__ = ("cairo0", "cairo1", "domain", "class_hash")
    CAIRO0_FIELD_NUMBER: _ClassVar[int]
    CAIRO1_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
    cairo0: Cairo0Class
    cairo1: Cairo1Class
    domain: int
    class_hash: Hash
    def __init__(self, cairo0: _Optional[_Union[Cairo0Class, _Mapping]] = ..., cairo1: _Optional[_Union[Cairo1Class, _Mapping]] = ..., domain: _Optional[int] = ..., class_hash: _Optional[_Union[Hash, _Mapping]] = ...) -> None: ...

class ClassesResponse(_message.Message):
    __slots__ = ("fin",)
    CLASS_FIELD_NUMBER: _ClassVar[int]
    FIN_FIELD_NUMBER: _ClassVar[int]
    fin: Fin
    def __init__(self, fin: _Optional[_Union[Fin, _Mapping]] = ..., **kwargs) -> None: ...

class ResourceLimits(_message.Message):
    __slots__ = ("max_amount", "max_price_per_unit")
    MAX_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    MAX_PRICE_PER_UNIT_FIELD_NUMBER: _ClassVar[int]
    max_amount: Felt252
    max_price_per_unit: Felt252
    def __init__(self, max_amount: _Optional[_Union[Felt252, _Mapping]] = ..., max_price_per_unit: _Optional[_Union[Felt252, _Mapping]] = ...) -> None: ...

class ResourceBounds(_message.Message):
    __slots__ = ("l1_gas", "l1_data_gas", "l2_gas")
    L1_GAS_FIELD_NUMBER: _ClassVar[int]
    L1_DATA_GAS_FIELD_NUMBER: _ClassVar[int]
    L2_GAS_FIELD_NUMBER: _ClassVar[int]
    l1_gas: ResourceLimits
    l1_data_gas: ResourceLimits
    l2_gas: ResourceLimits
    def __init__(self, l1_gas: _Optional[_Union[ResourceLimits, _Mapping]] = ..., l1_data_gas: _Optional[_Union[ResourceLimits, _Mapping]] = ..., l2_gas: _Optional[_Union[ResourceLimits, _Mapping]] = ...) -> None: ...

class AccountSignature(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[Felt252]
    def __init__(self, parts: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ...) -> None: ...

class L1HandlerV0(_message.Message):
    __slots__ = ("nonce", "address", "entry_point_selector", "calldata")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_POINT_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    CALLDATA_FIELD_NUMBER: _ClassVar[int]
    nonce: Felt252
    address: Address
    entry_point_selector: Felt252
    calldata: _containers.RepeatedCompositeFieldContainer[Felt252]
    def __init__(self, nonce: _Optional[_Union[Felt252, _Mapping]] = ..., address: _Optional[_Union[Address, _Mapping]] = ..., entry_point_selector: _Optional[_Union[Felt252, _Mapping]] = ..., calldata: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ...) -> None: ...

class DeclareV3Common(_message.Message):
    __slots__ = ("sender", "signature", "nonce", "compiled_class_hash", "resource_bounds", "tip", "paymaster_data", "account_deployment_data", "nonce_data_availability_mode", "fee_data_availability_mode")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    COMPILED_CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_BOUNDS_FIELD_NUMBER: _ClassVar[int]
    TIP_FIELD_NUMBER: _ClassVar[int]
    PAYMASTER_DATA_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_DEPLOYMENT_DATA_FIELD_NUMBER: _ClassVar[int]
    NONCE_DATA_AVAILABILITY_MODE_FIELD_NUMBER: _ClassVar[int]
    FEE_DATA_AVAILABILITY_MODE_FIELD_NUMBER: _ClassVar[int]
    sender: Address
    signature: AccountSignature
    nonce: Felt252
    compiled_class_hash: Hash
    resource_bounds: ResourceBounds
    tip: int
    paymaster_data: _containers.RepeatedCompositeFieldContainer[Felt252]
    account_deployment_data: _containers.RepeatedCompositeFieldContainer[Felt252]
    nonce_data_availability_mode: VolitionDomain
    fee_data_availability_mode: VolitionDomain
    def __init__(self, sender: _Optional[_Union[Address, _Mapping]] = ..., signature: _Optional[_Union[AccountSignature, _Mapping]] = ..., nonce: _Optional[_Union[Felt252, _Mapping]] = ..., compiled_class_hash: _Optional[_Union[Hash, _Mapping]] = ..., resource_bounds: _Optional[_Union[ResourceBounds, _Mapping]] = ..., tip: _Optional[int] = ..., paymaster_data: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., account_deployment_data: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., nonce_data_availability_mode: _Optional[_Union[VolitionDomain, str]] = ..., fee_data_availability_mode: _Optional[_Union[VolitionDomain, str]] = ...) -> None: ...

class InvokeV3(_message.Message):
    __slots__ = ("sender", "signature", "calldata", "resource_bounds", "tip", "paymaster_data", "account_deployment_data", "nonce_data_availability_mode", "fee_data_availability_mode", "nonce", "proof_facts")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CALLDATA_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_BOUNDS_FIELD_NUMBER: _ClassVar[int]
    TIP_FIELD_NUMBER: _ClassVar[int]
    PAYMASTER_DATA_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_DEPLOYMENT_DATA_FIELD_NUMBER: _ClassVar[int]
    NONCE_DATA_AVAILABILITY_MODE_FIELD_NUMBER: _ClassVar[int]
    FEE_DATA_AVAILABILITY_MODE_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FACTS_FIELD_NUMBER: _ClassVar[int]
    sender: Address
    signature: AccountSignature
    calldata: _containers.RepeatedCompositeFieldContainer[Felt252]
    resource_bounds: ResourceBounds
    tip: int
    paymaster_data: _containers.RepeatedCompositeFieldContainer[Felt252]
    account_deployment_data: _containers.RepeatedCompositeFieldContainer[Felt252]
    nonce_data_availability_mode: VolitionDomain
    fee_data_availability_mode: VolitionDomain
    nonce: Felt252
    proof_facts: _containers.RepeatedCompositeFieldContainer[Felt252]
    def __init__(self, sender: _Optional[_Union[Address, _Mapping]] = ..., signature: _Optional[_Union[AccountSignature, _Mapping]] = ..., calldata: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., resource_bounds: _Optional[_Union[ResourceBounds, _Mapping]] = ..., tip: _Optional[int] = ..., paymaster_data: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., account_deployment_data: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., nonce_data_availability_mode: _Optional[_Union[VolitionDomain, str]] = ..., fee_data_availability_mode: _Optional[_Union[VolitionDomain, str]] = ..., nonce: _Optional[_Union[Felt252, _Mapping]] = ..., proof_facts: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ...) -> None: ...

class DeployAccountV3(_message.Message):
    __slots__ = ("signature", "class_hash", "nonce", "address_salt", "calldata", "resource_bounds", "tip", "paymaster_data", "nonce_data_availability_mode", "fee_data_availability_mode")
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_SALT_FIELD_NUMBER: _ClassVar[int]
    CALLDATA_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_BOUNDS_FIELD_NUMBER: _ClassVar[int]
    TIP_FIELD_NUMBER: _ClassVar[int]
    PAYMASTER_DATA_FIELD_NUMBER: _ClassVar[int]
    NONCE_DATA_AVAILABILITY_MODE_FIELD_NUMBER: _ClassVar[int]
    FEE_DATA_AVAILABILITY_MODE_FIELD_NUMBER: _ClassVar[int]
    signature: AccountSignature
    class_hash: Hash
    nonce: Felt252
    address_salt: Felt252
    calldata: _containers.RepeatedCompositeFieldContainer[Felt252]
    resource_bounds: ResourceBounds
    tip: int
    paymaster_data: _containers.RepeatedCompositeFieldContainer[Felt252]
    nonce_data_availability_mode: VolitionDomain
    fee_data_availability_mode: VolitionDomain
    def __init__(self, signature: _Optional[_Union[AccountSignature, _Mapping]] = ..., class_hash: _Optional[_Union[Hash, _Mapping]] = ..., nonce: _Optional[_Union[Felt252, _Mapping]] = ..., address_salt: _Optional[_Union[Felt252, _Mapping]] = ..., calldata: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., resource_bounds: _Optional[_Union[ResourceBounds, _Mapping]] = ..., tip: _Optional[int] = ..., paymaster_data: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., nonce_data_availability_mode: _Optional[_Union[VolitionDomain, str]] = ..., fee_data_availability_mode: _Optional[_Union[VolitionDomain, str]] = ...) -> None: ...

class TransactionInBlock(_message.Message):
    __slots__ = ("declare_v0", "declare_v1", "declare_v2", "declare_v3", "deploy", "deploy_account_v1", "deploy_account_v3", "invoke_v0", "invoke_v1", "invoke_v3", "l1_handler", "transaction_hash")
    class DeclareV0WithoutClass(_message.Message):
        __slots__ = ("sender", "max_fee", "signature", "class_hash")
        SENDER_FIELD_NUMBER: _ClassVar[int]
        MAX_FEE_FIELD_NUMBER: _ClassVar[int]
        SIGNATURE_FIELD_NUMBER: _ClassVar[int]
        CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
        sender: Address
        max_fee: Felt252
        signature: AccountSignature
        class_hash: Hash
        def __init__(self, sender: _Optional[_Union[Address, _Mapping]] = ..., max_fee: _Optional[_Union[Felt252, _Mapping]] = ..., signature: _Optional[_Union[AccountSignature, _Mapping]] = ..., class_hash: _Optional[_Union[Hash, _Mapping]] = ...) -> None: ...
    class DeclareV1WithoutClass(_message.Message):
        __slots__ = ("sender", "max_fee", "signature", "class_hash", "nonce")
        SENDER_FIELD_NUMBER: _ClassVar[int]
        MAX_FEE_FIELD_NUMBER: _ClassVar[int]
        SIGNATURE_FIELD_NUMBER: _ClassVar[int]
        CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
        NONCE_FIELD_NUMBER: _ClassVar[int]
        sender: Address
        max_fee: Felt252
        signature: AccountSignature
        class_hash: Hash
        nonce: Felt252
        def __init__(self, sender: _Optional[_Union[Address, _Mapping]] = ..., max_fee: _Optional[_Union[Felt252, _Mapping]] = ..., signature: _Optional[_Union[AccountSignature, _Mapping]] = ..., class_hash: _Optional[_Union[Hash, _Mapping]] = ..., nonce: _Optional[_Union[Felt252, _Mapping]] = ...) -> None: ...
    class DeclareV2WithoutClass(_message.Message):
        __slots__ = ("sender", "max_fee", "signature", "class_hash", "nonce", "compiled_class_hash")
        SENDER_FIELD_NUMBER: _ClassVar[int]
        MAX_FEE_FIELD_NUMBER: _ClassVar[int]
        SIGNATURE_FIELD_NUMBER: _ClassVar[int]
        CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
        NONCE_FIELD_NUMBER: _ClassVar[int]
        COMPILED_CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
        sender: Address
        max_fee: Felt252
        signature: AccountSignature
        class_hash: Hash
        nonce: Felt252
        compiled_class_hash: Hash
        def __init__(self, sender: _Optional[_Union[Address, _Mapping]] = ..., max_fee: _Optional[_Union[Felt252, _Mapping]] = ..., signature: _Optional[_Union[AccountSignature, _Mapping]] = ..., class_hash: _Optional[_Union[Hash, _Mapping]] = ..., nonce: _Optional[_Union[Felt252, _Mapping]] = ..., compiled_class_hash: _Optional[_Union[Hash, _Mapping]] = ...) -> None: ...
    class DeclareV3WithoutClass(_message.Message):
        __slots__ = ("common", "class_hash")
        COMMON_FIELD_NUMBER: _ClassVar[int]
        CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
        common: DeclareV3Common
        class_hash: Hash
        def __init__(self, common: _Optional[_Union[DeclareV3Common, _Mapping]] = ..., class_hash: _Optional[_Union[Hash, _Mapping]] = ...) -> None: ...
    class Deploy(_message.Message):
        __slots__ = ("class_hash", "address_salt", "calldata", "version")
        CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
        ADDRESS_SALT_FIELD_NUMBER: _ClassVar[int]
        CALLDATA_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        class_hash: Hash
        address_salt: Felt252
        calldata: _containers.RepeatedCompositeFieldContainer[Felt252]
        version: int
        def __init__(self, class_hash: _Optional[_Union[Hash, _Mapping]] = ..., address_salt: _Optional[_Union[Felt252, _Mapping]] = ..., calldata: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., version: _Optional[int] = ...) -> None: ...
    class DeployAccountV1(_message.Message):
        __slots__ = ("max_fee", "signature", "class_hash", "nonce", "address_salt", "calldata")
        MAX_FEE_FIELD_NUMBER: _ClassVar[int]
        SIGNATURE_FIELD_NUMBER: _ClassVar[int]
        CLASS_HASH_FIELD_NUMBER: _ClassVar[int]
        NONCE_FIELD_NUMBER: _ClassVar[int]
        ADDRESS_SALT_FIELD_NUMBER: _ClassVar[int]
        CALLDATA_FIELD_NUMBER: _ClassVar[int]
        max_fee: Felt252
        signature: AccountSignature
        class_hash: Hash
        nonce: Felt252
        address_salt: Felt252
        calldata: _containers.RepeatedCompositeFieldContainer[Felt252]
        def __init__(self, max_fee: _Optional[_Union[Felt252, _Mapping]] = ..., signature: _Optional[_Union[AccountSignature, _Mapping]] = ..., class_hash: _Optional[_Union[Hash, _Mapping]] = ..., nonce: _Optional[_Union[Felt252, _Mapping]] = ..., address_salt: _Optional[_Union[Felt252, _Mapping]] = ..., calldata: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ...) -> None: ...
    class InvokeV0(_message.Message):
        __slots__ = ("max_fee", "signature", "address", "entry_point_selector", "calldata")
        MAX_FEE_FIELD_NUMBER: _ClassVar[int]
        SIGNATURE_FIELD_NUMBER: _ClassVar[int]
        ADDRESS_FIELD_NUMBER: _ClassVar[int]
        ENTRY_POINT_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        CALLDATA_FIELD_NUMBER: _ClassVar[int]
        max_fee: Felt252
        signature: AccountSignature
        address: Address
        entry_point_selector: Felt252
        calldata: _containers.RepeatedCompositeFieldContainer[Felt252]
        def __init__(self, max_fee: _Optional[_Union[Felt252, _Mapping]] = ..., signature: _Optional[_Union[AccountSignature, _Mapping]] = ..., address: _Optional[_Union[Address, _Mapping]] = ..., entry_point_selector: _Optional[_Union[Felt252, _Mapping]] = ..., calldata: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ...) -> None: ...
    class InvokeV1(_message.Message):
        __slots__ = ("sender", "max_fee", "signature", "calldata", "nonce")
        SENDER_FIELD_NUMBER: _ClassVar[int]
        MAX_FEE_FIELD_NUMBER: _ClassVar[int]
        SIGNATURE_FIELD_NUMBER: _ClassVar[int]
        CALLDATA_FIELD_NUMBER: _ClassVar[int]
        NONCE_FIELD_NUMBER: _ClassVar[int]
        sender: Address
        max_fee: Felt252
        signature: AccountSignature
        calldata: _containers.RepeatedCompositeFieldContainer[Felt252]
        nonce: Felt252
        def __init__(self, sender: _Optional[_Union[Address, _Mapping]] = ..., max_fee: _Optional[_Union[Felt252, _Mapping]] = ..., signature: _Optional[_Union[AccountSignature, _Mapping]] = ..., calldata: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., nonce: _Optional[_Union[Felt252, _Mapping]] = ...) -> None: ...
    DECLARE_V0_FIELD_NUMBER: _ClassVar[int]
    DECLARE_V1_FIELD_NUMBER: _ClassVar[int]
    DECLARE_V2_FIELD_NUMBER: _ClassVar[int]
    DECLARE_V3_FIELD_NUMBER: _ClassVar[int]
    DEPLOY_FIELD_NUMBER: _ClassVar[int]
    DEPLOY_ACCOUNT_V1_FIELD_NUMBER: _ClassVar[int]
    DEPLOY_ACCOUNT_V3_FIELD_NUMBER: _ClassVar[int]
    INVOKE_V0_FIELD_NUMBER: _ClassVar[int]
    INVOKE_V1_FIELD_NUMBER: _ClassVar[int]
    INVOKE_V3_FIELD_NUMBER: _ClassVar[int]
    L1_HANDLER_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_HASH_FIELD_NUMBER: _ClassVar[int]
    declare_v0: TransactionInBlock.DeclareV0WithoutClass
    declare_v1: TransactionInBlock.DeclareV1WithoutClass
    declare_v2: TransactionInBlock.DeclareV2WithoutClass
    declare_v3: TransactionInBlock.DeclareV3WithoutClass
    deploy: TransactionInBlock.Deploy
    deploy_account_v1: TransactionInBlock.DeployAccountV1
    deploy_account_v3: DeployAccountV3
    invoke_v0: TransactionInBlock.InvokeV0
    invoke_v1: TransactionInBlock.InvokeV1
    invoke_v3: InvokeV3
    l1_handler: L1HandlerV0
    transaction_hash: Hash
    def __init__(self, declare_v0: _Optional[_Union[TransactionInBlock.DeclareV0WithoutClass, _Mapping]] = ..., declare_v1: _Optional[_Union[TransactionInBlock.DeclareV1WithoutClass, _Mapping]] = ..., declare_v2: _Optional[_Union[TransactionInBlock.DeclareV2WithoutClass, _Mapping]] = ..., declare_v3: _Optional[_Union[TransactionInBlock.DeclareV3WithoutClass, _Mapping]] = ..., deploy: _Optional[_Union[TransactionInBlock.Deploy, _Mapping]] = ..., deploy_account_v1: _Optional[_Union[TransactionInBlock.DeployAccountV1, _Mapping]] = ..., deploy_account_v3: _Optional[_Union[DeployAccountV3, _Mapping]] = ..., invoke_v0: _Optional[_Union[TransactionInBlock.InvokeV0, _Mapping]] = ..., invoke_v1: _Optional[_Union[TransactionInBlock.InvokeV1, _Mapping]] = ..., invoke_v3: _Optional[_Union[InvokeV3, _Mapping]] = ..., l1_handler: _Optional[_Union[L1HandlerV0, _Mapping]] = ..., transaction_hash: _Optional[_Union[Hash, _Mapping]] = ...) -> None: ...

class MessageToL1(_message.Message):
    __slots__ = ("from_address", "payload", "to_address")
    FROM_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TO_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    from_address: Felt252
    payload: _containers.RepeatedCompositeFieldContainer[Felt252]
    to_address: EthereumAddress
    def __init__(self, from_address: _Optional[_Union[Felt252, _Mapping]] = ..., payload: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., to_address: _Optional[_Union[EthereumAddress, _Mapping]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("invoke", "l1_handler", "declare", "deprecated_deploy", "deploy_account")
    class ExecutionResources(_message.Message):
        __slots__ = ("builtins", "steps", "memory_holes", "l1_gas", "l1_data_gas", "l2_gas", "total_l1_gas")
        class BuiltinCounter(_message.Message):
            __slots__ = ("bitwise", "ecdsa", "ec_op", "pedersen", "range_check", "poseidon", "keccak", "output", "add_mod", "mul_mod", "range_check96")
            BITWISE_FIELD_NUMBER: _ClassVar[int]
            ECDSA_FIELD_NUMBER: _ClassVar[int]
            EC_OP_FIELD_NUMBER: _ClassVar[int]
            PEDERSEN_FIELD_NUMBER: _ClassVar[int]
            RANGE_CHECK_FIELD_NUMBER: _ClassVar[int]
            POSEIDON_FIELD_NUMBER: _ClassVar[int]
            KECCAK_FIELD_NUMBER: _ClassVar[int]
            OUTPUT_FIELD_NUMBER: _ClassVar[int]
            ADD_MOD_FIELD_NUMBER: _ClassVar[int]
            MUL_MOD_FIELD_NUMBER: _ClassVar[int]
            RANGE_CHECK96_FIELD_NUMBER: _ClassVar[int]
            bitwise: int
            ecdsa: int
            ec_op: int
            pedersen: int
            range_check: int
            poseidon: int
            keccak: int
            output: int
            add_mod: int
            mul_mod: int
            range_check96: int
            def __init__(self, bitwise: _Optional[int] = ..., ecdsa: _Optional[int] = ..., ec_op: _Optional[int] = ..., pedersen: _Optional[int] = ..., range_check: _Optional[int] = ..., poseidon: _Optional[int] = ..., keccak: _Optional[int] = ..., output: _Optional[int] = ..., add_mod: _Optional[int] = ..., mul_mod: _Optional[int] = ..., range_check96: _Optional[int] = ...) -> None: ...
        BUILTINS_FIELD_NUMBER: _ClassVar[int]
        STEPS_FIELD_NUMBER: _ClassVar[int]
        MEMORY_HOLES_FIELD_NUMBER: _ClassVar[int]
        L1_GAS_FIELD_NUMBER: _ClassVar[int]
        L1_DATA_GAS_FIELD_NUMBER: _ClassVar[int]
        L2_GAS_FIELD_NUMBER: _ClassVar[int]
        TOTAL_L1_GAS_FIELD_NUMBER: _ClassVar[int]
        builtins: Receipt.ExecutionResources.BuiltinCounter
        steps: int
        memory_holes: int
        l1_gas: Felt252
        l1_data_gas: Felt252
        l2_gas: Felt252
        total_l1_gas: Felt252
        def __init__(self, builtins: _Optional[_Union[Receipt.ExecutionResources.BuiltinCounter, _Mapping]] = ..., steps: _Optional[int] = ..., memory_holes: _Optional[int] = ..., l1_gas: _Optional[_Union[Felt252, _Mapping]] = ..., l1_data_gas: _Optional[_Union[Felt252, _Mapping]] = ..., l2_gas: _Optional[_Union[Felt252, _Mapping]] = ..., total_l1_gas: _Optional[_Union[Felt252, _Mapping]] = ...) -> None: ...
    class Common(_message.Message):
        __slots__ = ("actual_fee", "price_unit", "messages_sent", "execution_resources", "revert_reason")
        ACTUAL_FEE_FIELD_NUMBER: _ClassVar[int]
        PRICE_UNIT_FIELD_NUMBER: _ClassVar[int]
        MESSAGES_SENT_FIELD_NUMBER: _ClassVar[int]
        EXECUTION_RESOURCES_FIELD_NUMBER: _ClassVar[int]
        REVERT_REASON_FIELD_NUMBER: _ClassVar[int]
        actual_fee: Felt252
        price_unit: PriceUnit
        messages_sent: _containers.RepeatedCompositeFieldContainer[MessageToL1]
        execution_resources: Receipt.ExecutionResources
        revert_reason: str
        def __init__(self, actual_fee: _Optional[_Union[Felt252, _Mapping]] = ..., price_unit: _Optional[_Union[PriceUnit, str]] = ..., messages_sent: _Optional[_Iterable[_Union[MessageToL1, _Mapping]]] = ..., execution_resources: _Optional[_Union[Receipt.ExecutionResources, _Mapping]] = ..., revert_reason: _Optional[str] = ...) -> None: ...
    class Invoke(_message.Message):
        __slots__ = ("common",)
        COMMON_FIELD_NUMBER: _ClassVar[int]
        common: Receipt.Common
        def __init__(self, common: _Optional[_Union[Receipt.Common, _Mapping]] = ...) -> None: ...
    class L1Handler(_message.Message):
        __slots__ = ("common", "msg_hash")
        COMMON_FIELD_NUMBER: _ClassVar[int]
        MSG_HASH_FIELD_NUMBER: _ClassVar[int]
        common: Receipt.Common
        msg_hash: Hash256
        def __init__(self, common: _Optional[_Union[Receipt.Common, _Mapping]] = ..., msg_hash: _Optional[_Union[Hash256, _Mapping]] = ...) -> None: ...
    class Declare(_message.Message):
        __slots__ = ("common",)
        COMMON_FIELD_NUMBER: _ClassVar[int]
        common: Receipt.Common
        def __init__(self, common: _Optional[_Union[Receipt.Common, _Mapping]] = ...) -> None: ...
    class Deploy(_message.Message):
        __slots__ = ("common", "contract_address")
        COMMON_FIELD_NUMBER: _ClassVar[int]
        CONTRACT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
        common: Receipt.Common
        contract_address: Felt252
        def __init__(self, common: _Optional[_Union[Receipt.Common, _Mapping]] = ..., contract_address: _Optional[_Union[Felt252, _Mapping]] = ...) -> None: ...
    class DeployAccount(_message.Message):
        __slots__ = ("common", "contract_address")
        COMMON_FIELD_NUMBER: _ClassVar[int]
        CONTRACT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
        common: Receipt.Common
        contract_address: Felt252
        def __init__(self, common: _Optional[_Union[Receipt.Common, _Mapping]] = ..., contract_address: _Optional[_Union[Felt252, _Mapping]] = ...) -> None: ...
    INVOKE_FIELD_NUMBER: _ClassVar[int]
    L1_HANDLER_FIELD_NUMBER: _ClassVar[int]
    DECLARE_FIELD_NUMBER: _ClassVar[int]
    DEPRECATED_DEPLOY_FIELD_NUMBER: _ClassVar[int]
    DEPLOY_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    invoke: Receipt.Invoke
    l1_handler: Receipt.L1Handler
    declare: Receipt.Declare
    deprecated_deploy: Receipt.Deploy
    deploy_account: Receipt.DeployAccount
    def __init__(self, invoke: _Optional[_Union[Receipt.Invoke, _Mapping]] = ..., l1_handler: _Optional[_Union[Receipt.L1Handler, _Mapping]] = ..., declare: _Optional[_Union[Receipt.Declare, _Mapping]] = ..., deprecated_deploy: _Optional[_Union[Receipt.Deploy, _Mapping]] = ..., deploy_account: _Optional[_Union[Receipt.DeployAccount, _Mapping]] = ...) -> None: ...

class TransactionWithReceipt(_message.Message):
    __slots__ = ("transaction", "receipt")
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    transaction: TransactionInBlock
    receipt: Receipt
    def __init__(self, transaction: _Optional[_Union[TransactionInBlock, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class TransactionsResponse(_message.Message):
    __slots__ = ("transaction_with_receipt", "fin")
    TRANSACTION_WITH_RECEIPT_FIELD_NUMBER: _ClassVar[int]
    FIN_FIELD_NUMBER: _ClassVar[int]
    transaction_with_receipt: TransactionWithReceipt
    fin: Fin
    def __init__(self, transaction_with_receipt: _Optional[_Union[TransactionWithReceipt, _Mapping]] = ..., fin: _Optional[_Union[Fin, _Mapping]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("transaction_hash", "from_address", "keys", "data")
    TRANSACTION_HASH_FIELD_NUMBER: _ClassVar[int]
    FROM_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    transaction_hash: Hash
    from_address: Felt252
    keys: _containers.RepeatedCompositeFieldContainer[Felt252]
    data: _containers.RepeatedCompositeFieldContainer[Felt252]
    def __init__(self, transaction_hash: _Optional[_Union[Hash, _Mapping]] = ..., from_address: _Optional[_Union[Felt252, _Mapping]] = ..., keys: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ..., data: _Optional[_Iterable[_Union[Felt252, _Mapping]]] = ...) -> None: ...

class EventsResponse(_message.Message):
    __slots__ = ("event", "fin")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    FIN_FIELD_NUMBER: _ClassVar[int]
    event: Event
    fin: Fin
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ..., fin: _Optional[_Union[Fin, _Mapping]] = ...) -> None: ...
