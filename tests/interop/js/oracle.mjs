// The hashes of starknet.js, which nobody here wrote. Felts come as hex text, and hashes go back as hex or decimal text.
import { ec, hash, v2hash, v3hash } from 'starknet'
import { v3hash as v3hashOfTwoBounds } from 'starknet-two-bounds' // the last one that knew v3 without L1 data gas
import { obey, say } from './lines.mjs'

const TRANSACTIONS = {
  invoke_v1: (tx, chain) =>
    v2hash.calculateTransactionHash(tx.sender, 1, tx.calldata, tx.max_fee, chain, tx.nonce),
  declare_v1: (tx, chain) =>
    v2hash.calculateDeclareTransactionHash(tx.class_hash, tx.sender, 1, tx.max_fee, chain, tx.nonce),
  declare_v2: (tx, chain) =>
    v2hash.calculateDeclareTransactionHash(tx.class_hash, tx.sender, 2, tx.max_fee, chain, tx.nonce, tx.compiled_class_hash),
  deploy_account_v1: (tx, chain) =>
    v2hash.calculateDeployAccountTransactionHash(address(tx), tx.class_hash, tx.calldata, tx.address_salt, 1, tx.max_fee, chain, tx.nonce),
  l1_handler: (tx, chain) =>
    v2hash.calculateL2MessageTxHash(tx.calldata[0], tx.address, tx.entry_point_selector, tx.calldata.slice(1), chain, tx.nonce),
  invoke_v3: (tx, chain) =>
    v3(tx).calculateInvokeTransactionHash(tx.sender, 3, tx.calldata, chain, tx.nonce, tx.account_deployment_data, ...fees(tx), tx.proof_facts),
  declare_v3: ({ common: tx, class_hash: classHash }, chain) =>
    v3(tx).calculateDeclareTransactionHash(classHash, tx.compiled_class_hash, tx.sender, 3, chain, tx.nonce, tx.account_deployment_data, ...fees(tx)),
  deploy_account_v3: (tx, chain) =>
    v3(tx).calculateDeployAccountTransactionHash(address(tx), tx.class_hash, tx.calldata, tx.address_salt, 3, chain, tx.nonce, ...fees(tx))
}

function v3 (tx) {
  return tx.resource_bounds.l1_data_gas ? v3hash : v3hashOfTwoBounds
}

function fees (tx) {
  const bounds = Object.fromEntries(Object.entries(tx.resource_bounds).map(([name, limits]) => [name, {
    max_amount: BigInt(limits.max_amount),
    max_price_per_unit: BigInt(limits.max_price_per_unit)
  }]))
  return [tx.nonce_data_availability_mode, tx.fee_data_availability_mode, bounds, tx.tip, tx.paymaster_data]
}

function address (tx) {
  return hash.calculateContractAddressFromHash(tx.address_salt, tx.class_hash, tx.calldata, 0)
}

function classHash ({ text }) {
  const definition = JSON.parse(text)
  if (!definition.sierra_program) return hash.computeLegacyContractClassHash(text) // keeps long numbers whole
  return hash.computeSierraContractClassHash({ ...definition, abi: JSON.parse(definition.abi) })
}

const ORACLE = {
  pedersen: ({ felts }) => hash.computePedersenHash(...felts),
  pedersenMany: ({ felts }) => hash.computePedersenHashOnElements(felts),
  poseidon: ({ felts }) => hash.computePoseidonHash(...felts),
  poseidonMany: ({ felts }) => hash.computePoseidonHashOnElements(felts),
  blakeMany: ({ felts }) => String(hash.blake2sHashMany(felts.map(BigInt))),
  selector: ({ name }) => hash.getSelectorFromName(name),
  publicKey: ({ secret }) => ec.starkCurve.getStarkKey(secret),
  transaction: ({ kind, tx, chain }) => TRANSACTIONS[kind](tx, chain),
  address: ({ tx }) => address(tx),
  messageToL2: ({ tx }) =>
    hash.getL2MessageHash(tx.calldata[0], tx.address, tx.entry_point_selector, tx.calldata.slice(1), tx.nonce),
  classHash,
  compiledPoseidon: ({ casm }) => hash.computeCompiledClassHashPoseidon(casm),
  compiledBlake: ({ casm }) => hash.computeCompiledClassHashBlake(casm)
}

say({ kinds: Object.keys(TRANSACTIONS) })
await obey({ each: ({ questions }) => questions.map(({ of, ...given }) => ORACLE[of](given)) })
